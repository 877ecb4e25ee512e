"""nftables in a namespace: counters on the connection tracker's verdicts, and packets lost on purpose."""
import contextlib
import json
import shutil

from . import net
from .case import Skip

NFT = shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin:/bin") or "nft"


def load(netns, text):
    net.run("ip", "netns", "exec", netns, NFT, text)


def need(netns, text="add table inet wct-probe { chain c { type filter hook input priority 0; ct state invalid; }; }"):
    """Skip the case where nft or the connection tracker is missing."""
    try:
        load(netns, text)
        load(netns, "delete table inet wct-probe")
    except (RuntimeError, FileNotFoundError) as e:
        raise Skip(f"nft cannot be used: {str(e).splitlines()[0]}") from None


class Tracker:
    """Counts by the connection tracker's opinion what comes and goes at a namespace for a port, in both directions."""

    def __init__(self, netns, port):
        self.netns = netns
        rules = "".join(f"tcp {way} {port} ct state {state} counter name {name}; "
                        for way in ("dport", "sport")
                        for state, name in (("invalid", "bad"), ("new", "fresh"), ("established", "good")))
        chains = "".join(f"chain {hook} {{ type filter hook {hook} priority 0; {rules} }}; "
                         for hook in ("input", "output"))
        load(netns, "add table inet wct-track { counter bad {}; counter fresh {}; counter good {}; " + chains + "}")

    def packets(self):
        """{"bad": n, "fresh": n, "good": n}"""
        out = json.loads(net.run("ip", "netns", "exec", self.netns, NFT, "-j", "list", "counters"))["nftables"]
        return {c["counter"]["name"]: c["counter"]["packets"] for c in out if "counter" in c}


@contextlib.contextmanager
def losing(netns, rule):
    """What arrives in the namespace and matches the rule is lost for the length of a with block."""
    load(netns, f"add table inet wct-lose {{ chain c {{ type filter hook input priority -300; {rule} drop; }}; }}")
    try:
        yield
    finally:
        load(netns, "delete table inet wct-lose")
