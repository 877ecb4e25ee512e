"""Server and client in two network namespaces, joined by a veth pair: TC and native XDP, IPv4 and IPv6."""
from lib import transcript
from lib.case import at_least, case, equal


def both_halves(t, mode, v6):
    pair = t.pair()
    if mode == "xdp":
        pair.client_xdp_pass(t.build)
    s = t.veth_server(pair, mode, v6=v6)
    with s.client() as c:
        info = c.info("fastpath")
        equal(info["fastpath_state"], "active", info.get("fastpath_reason", ""))
        hooks = info["fastpath_hooks"].split(",")
        assert f"{pair.dev}:{mode}" in hooks, f"hooks: {hooks}"
        c.call("SET", "key:__rand_int__", "xxx")
        assert c.make_hot("key:__rand_int__"), f"the key does not become hot: {c.info('fastpath')}"
        equal(s.cli("SET", "k", "hello"), "OK\n")
        equal([s.cli("GET", "k") for _ in range(3)], ["hello\n"] * 3)

        n = 100_000
        before = c.info("fastpath")
        rates = s.benchmark("-t", "get", "-n", n, "-c", "20")
        after = c.info("fastpath")
    hits = int(after["fastpath_hits"]) - int(before["fastpath_hits"])
    t.note = f"{hits / n:.2%} in the kernel, {rates['GET']:.0f} GET/s with 20 connections"
    at_least(hits / n, 0.99, "share of fastpath_hits")
    if mode == "xdp":
        by_xdp = int(after["fastpath_hits_xdp"]) - int(before["fastpath_hits_xdp"])
        at_least(by_xdp / n, 0.5, "share of hits by the XDP program")

    off = t.veth_server(pair, "off", port=6380, v6=v6)
    with s.client() as a, off.client() as b:
        before = a.fastpath_hits()
        transcript.compare(transcript.record(a), transcript.record(b))
        at_least(a.fastpath_hits() - before, 100, "fastpath_hits in the transcript")


@case(needs_bpf=True, timeout=90)
def tc_ipv4(t):
    both_halves(t, "tc", False)


@case(needs_bpf=True, timeout=90)
def tc_ipv6(t):
    both_halves(t, "tc", True)


@case(needs_bpf=True, timeout=90)
def xdp_ipv4(t):
    both_halves(t, "xdp", False)


@case(needs_bpf=True, timeout=90)
def xdp_ipv6(t):
    both_halves(t, "xdp", True)
