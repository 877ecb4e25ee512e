"""Three network namespaces in a row, client - wire - server, and the impairment in the middle."""
import json
import os
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))

from lib import net, proc  # noqa: E402

DEV = "veth-wct"


def namespace(stack, name):
    net.run("ip", "netns", "add", name)
    stack.callback(net.run, "ip", "netns", "delete", name)
    net.run("ip", "-n", name, "link", "set", "lo", "up")


def sysctl(netns, **values):
    for name, value in values.items():
        with net.inside(netns), open(f"/proc/sys/net/ipv4/{name}", "w") as f:
            f.write(str(value))


def mac(netns, dev):
    return json.loads(net.run("ip", "-j", "-n", netns, "link", "show", dev))[0]["address"]


class Wire:
    """client's veth-wct - [to-client, impair, to-server] - server's veth-wct"""

    client, wire, server = (net.PREFIX + name for name in ("client", "wire", "server"))
    dev = DEV
    server4, client4 = net.Pair.server4, net.Pair.client4
    server6, client6 = net.Pair.server6, net.Pair.client6

    def __init__(self, case, mtu, offload):
        """offload: {feature: on or off} for ethtool -K at both ends."""
        self.case = case
        for name in (self.client, self.wire, self.server):
            namespace(case.stack, name)
        with net.inside(self.wire), open("/proc/sys/net/ipv6/conf/default/disable_ipv6", "w") as f:
            f.write("1")
        ends = ((self.client, "to-client", self.client4, self.client6),
                (self.server, "to-server", self.server4, self.server6))
        for netns, dev, v4, v6 in ends:
            net.run("ip", "link", "add", DEV, "netns", netns, "type", "veth", "peer", "name", dev, "netns", self.wire)
            net.run("ip", "-n", self.wire, "link", "set", dev, "mtu", str(mtu), "up")
            net.run("ip", "-n", netns, "addr", "add", f"{v4}/24", "dev", DEV)
            net.run("ip", "-n", netns, "link", "set", DEV, "mtu", str(mtu), "up")
            net.run("ip", "-n", netns, "addr", "add", f"{v6}/64", "dev", DEV, "nodad")
            proc.run(["ethtool", "-K", DEV, *(word for item in offload.items() for word in item)], netns)
        # Nobody asks for addresses: what is lost must be TCP's.
        for netns, peer, addresses in ((self.client, self.server, (self.server4, self.server6)),
                                       (self.server, self.client, (self.client4, self.client6))):
            for address in addresses:
                net.run("ip", "-n", netns, "neigh", "replace", address, "lladdr", mac(peer, DEV), "dev", DEV,
                        "nud", "permanent")

    def xdp_pass(self):
        """What the server's interface sends by XDP_TX arrives at to-server only if that has a program of its own."""
        net.run("ip", "-n", self.wire, "link", "set", "dev", "to-server", "xdpdrv",
                "obj", f"{self.case.build}/tests/xdp_pass.bpf.o", "sec", "xdp")

    def impair(self, seed, spec):
        self.impairment = self.case.start([f"{self.case.build}/tests/impair", "to-client", "to-server", seed, spec],
                                          netns=self.wire, stdout=subprocess.PIPE, text=True)
        if self.impairment.stdout.readline() != "ready\n":
            raise RuntimeError("impair did not start")

    def end(self):
        """Stop the impairment; returns its counts, both directions added up."""
        self.impairment.send_signal(signal.SIGTERM)
        out, _ = self.impairment.communicate(timeout=10)
        counts = {}
        for word in out.split():
            name, eq, number = word.partition("=")
            if eq:
                counts[name] = counts.get(name, 0) + int(number)
        return counts


def tcp_counters(netns):
    """The namespace's counters of TCP, from /proc/net/snmp and netstat."""
    counters = {}
    for path in ("snmp", "netstat"):
        with net.inside(netns), open(f"/proc/thread-self/net/{path}") as f:
            lines = [line.split() for line in f]
        for names, numbers in zip(lines[::2], lines[1::2]):
            if names[0] in ("Tcp:", "TcpExt:"):
                counters |= dict(zip(names[1:], map(int, numbers[1:])))
    return counters
