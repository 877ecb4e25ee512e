"""One connection, GET of a hot key: throughput with the fast path over that without it, in one run.

Measured with bench/pingpong.c, which costs next to nothing itself, and with redis-benchmark -c 1. Runs alternate, so that a
slow moment of the machine hits both. The bound is 2, not what a quiet machine shows, because CI's is not one; the
figures are on the case's line.
"""
import json
from statistics import median

from lib import proc
from lib.case import at_least, case

KEY = "key:__rand_int__"  # redis-benchmark's
SECONDS = 1
REQUESTS = 20_000
ROUNDS = 3


def rates(t, server):
    """GET/s as (bare client, redis-benchmark)."""
    with server.client() as c:
        c.call("SET", KEY, "xxx")
        for _ in range(100):  # it gets hot
            c.call("GET", KEY)
    bare = proc.run([f"{t.build}/bench/pingpong", server.host, server.port, KEY, SECONDS], server.client_netns)
    return json.loads(bare)["rps"], server.benchmark("-t", "get", "-c", "1", "-n", REQUESTS)["GET"]


def speedup(t, start):
    measured = {"on": [], "off": []}
    for _ in range(ROUNDS):
        for mode, figures in measured.items():
            server = start(mode)
            figures.append(rates(t, server))
            server.stop()

    ratios = []
    for i, client in enumerate(("bare client", "redis-benchmark")):
        on, off = [m[i] for m in measured["on"]], [m[i] for m in measured["off"]]
        ratios.append(median(a / b for a, b in zip(on, off)))
        t.note += f"{client} {ratios[-1]:.1f} x ({median(on):.0f}/s : {median(off):.0f}/s)  "
    at_least(ratios[0], 2, "speedup seen by the bare client")


@case(needs_bpf=True, timeout=120)
def lo(t):
    speedup(t, lambda mode: t.server(*(("--fastpath", "off") if mode == "off" else ())))


@case(needs_bpf=True, timeout=120)
def veth_xdp(t):
    pair = t.pair()
    pair.client_xdp_pass(t.build)
    speedup(t, lambda mode: t.veth_server(pair, "xdp" if mode == "on" else "off"))
