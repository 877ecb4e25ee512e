"""Many clients on few keys: nobody ever reads anything but the last acknowledged value. See coherence.c."""
from lib import proc
from lib.case import at_least, case


def coherent(t, server, netns=None, seconds=5):
    out = proc.run([f"{t.build}/tests/coherence", server.host, server.port, seconds, 8, 4], netns, timeout=seconds + 30)
    with server.client() as c:
        hits = c.fastpath_hits()
    t.note = f"{out.strip()}, {hits} in the kernel"
    return hits


@case()
def off(t):
    coherent(t, t.server("--fastpath", "off"), seconds=3)


@case(needs_bpf=True)
def lo(t):
    at_least(coherent(t, t.server()), 1000, "fastpath_hits")


@case(needs_bpf=True)
def lo_few_slots(t):
    """More keys than slots: promotion and demotion all the time."""
    at_least(coherent(t, t.server("--fastpath-hot-keys", "2")), 100, "fastpath_hits")


@case(needs_bpf=True)
def veth_tc(t):
    pair = t.pair()
    at_least(coherent(t, t.veth_server(pair, "tc"), pair.client), 1000, "fastpath_hits")


@case(needs_bpf=True)
def veth_xdp(t):
    pair = t.pair()
    pair.client_xdp_pass(t.build)
    at_least(coherent(t, t.veth_server(pair, "xdp"), pair.client), 1000, "fastpath_hits")
