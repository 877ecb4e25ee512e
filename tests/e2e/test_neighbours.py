"""Who lives beside the fast path: the connection tracker, the TCP stacks' own counters, other XDP programs, other
services on the same interface. None of them may notice it."""
import json
import os
import shutil
import socket
import struct
import threading

from lib import bpf, net, netstat, nft, proc
from lib.case import Skip, at_least, case, equal
from lib.resp import Simple, encode

XDP_LOADER = shutil.which("xdp-loader", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")

HITS = 150  # of a conversation on each connection, when the fast path is on


def exchange(c, key, value):
    """Everything that a client does on one connection, each reply compared."""
    equal(c.call("SET", key, value), Simple("OK"))
    for _ in range(HITS):
        equal(c.call("GET", key), value)
    c.send(encode("GET", key) * 5 + encode("SET", key, b"new") + encode("GET", key) * 5)
    equal([c.read() for _ in range(11)], [value] * 5 + [Simple("OK")] + [b"new"] * 5)
    request = encode("GET", key)
    for cut in (1, 10, len(request) - 1):
        equal(c.call("GET", key), b"new")
        c.send(request[:cut])
        c.send(request[cut:])
        equal(c.read(), b"new")
    large = os.urandom(200_000)
    equal(c.call("SET", "large", large), Simple("OK"))
    equal(c.call("GET", key), b"new")
    assert c.call("GET", "large") == large, "a large value came back changed"
    for _ in range(HITS):
        equal(c.call("GET", key), b"new")


def conversation(s, hosts, rounds=2):
    """Connections that come and go, closed by either side and in every way."""
    for i in range(rounds):
        for host in hosts:
            for end in ("close", "quit", "half-close", "reset"):
                with s.client(host) as c:
                    exchange(c, f"k{i}", bytes([65 + i]) * (1 + 500 * i))
                    if end == "quit":
                        equal(c.call("QUIT"), Simple("OK"))
                        equal(c.read_to_end(), b"")
                    elif end == "half-close":
                        c.sock.shutdown(socket.SHUT_WR)
                        equal(c.read_to_end(), b"")
                    elif end == "reset":
                        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def pair_with_server(t, mode, *args, port=6379):
    pair = t.pair()
    if mode == "xdp":
        pair.client_xdp_pass(t.build)
    return pair, t.veth_server(pair, mode, *args, port=port)


# ---- the connection tracker ----

def tracked(t, mode):
    pair = t.pair()
    for netns in (pair.server, pair.client):
        nft.need(netns)
    if mode == "xdp":
        pair.client_xdp_pass(t.build)
    s = t.veth_server(pair, mode)
    trackers = [nft.Tracker(netns, s.port) for netns in (pair.server, pair.client)]
    conversation(s, (pair.server4, pair.server6))
    s.benchmark("-t", "get,set", "-n", "10000", "-c", "20")
    with s.client() as c:
        hits = c.fastpath_hits()
        s.benchmark("-t", "get", "-n", "2000", "-c", "5", "-P", "8")
        c.call("CLIENT", "KILL", "SKIPME", "yes", "TYPE", "normal")
    seen = [tracker.packets() for tracker in trackers]
    for name, packets in zip(("server", "client"), seen):
        equal(packets["bad"], 0, f"INVALID packets in the {name}'s namespace")
        at_least(packets["fresh"], 16, f"NEW packets in the {name}'s namespace")
        at_least(packets["good"], 1000, f"ESTABLISHED packets in the {name}'s namespace")
    at_least(hits, 16 * HITS, "fastpath_hits meanwhile")
    t.note = f"0 of {seen[0]['good']} (server) and {seen[1]['good']} packets (client) INVALID, {hits} hits"


@case(needs_bpf=True)
def conntrack_tc(t):
    tracked(t, "tc")


@case(needs_bpf=True)
def conntrack_xdp(t):
    tracked(t, "xdp")


# ---- the stacks' own counters ----

# What a busy machine causes by itself now and then: a probe after a late ACK, and what follows from it.
LATE = """
    Tcp.RetransSegs TcpExt.TCPTimeouts TcpExt.TCPLossProbes TcpExt.TCPDSACKOldSent TcpExt.TCPDSACKRecv
    TcpExt.TCPDSACKIgnoredOld TcpExt.TCPDSACKIgnoredNoUndo TcpExt.TCPSpuriousRTOs TcpExt.TCPOFOQueue
""".split()
TROUBLE = """
    Tcp.InErrs Tcp.InCsumErrors Tcp.AttemptFails Tcp.EstabResets
    TcpExt.TCPChallengeACK TcpExt.TCPSYNChallenge TcpExt.OutOfWindowIcmps TcpExt.PAWSEstab TcpExt.PAWSActive
    TcpExt.PAWSOldAck TcpExt.TSEcrRejected TcpExt.BeyondWindow TcpExt.TCPSACKDiscard TcpExt.TCPSACKReneging
    TcpExt.TCPDSACKOfoSent TcpExt.TCPOFODrop TcpExt.TCPAbortOnTimeout TcpExt.TCPAbortFailed TcpExt.TCPAbortOnMemory
    TcpExt.TCPACKSkippedSeq TcpExt.TCPACKSkippedPAWS TcpExt.TCPACKSkippedChallenge TcpExt.TCPFastRetrans
    TcpExt.TCPZeroWindowDrop TcpExt.TCPRcvQDrop TcpExt.TCPWantZeroWindowAdv
""".split()


@case(needs_bpf=True)
def stack_counters(t):
    """The same load with the fast path off, at TC and at XDP: no stack sees more trouble than it has anyway."""
    pair = t.pair()
    pair.client_xdp_pass(t.build)
    growth = {}
    for port, mode in ((6379, "off"), (6380, "tc"), (6381, "xdp")):
        s = t.veth_server(pair, mode, port=port)
        before = [netstat.read(netns) for netns in (pair.server, pair.client)]
        conversation(s, (pair.server4, pair.server6), rounds=1)
        s.benchmark("-t", "get,set", "-n", "5000", "-c", "10")
        after = [netstat.read(netns) for netns in (pair.server, pair.client)]
        growth[mode] = [netstat.grown(*both) for both in zip(before, after)]
        with s.client() as c:
            at_least(c.fastpath_hits(), 0 if mode == "off" else 8 * HITS, f"fastpath_hits with {mode}")
        s.stop()

    def worse(mode, where, name, slack):
        mine, usual = growth[mode][where].get(name, 0), growth["off"][where].get(name, 0)
        return [f"{name} with {mode} ({('server', 'client')[where]}): {mine}, off: {usual}"] if mine > usual + slack else []

    ways = [(mode, where) for mode in ("tc", "xdp") for where in (0, 1)]
    equal(sum((worse(*way, name, 0) for way in ways for name in TROUBLE), []), [], "trouble")
    equal(sum((worse(*way, name, 10) for way in ways for name in LATE), []), [], "trouble of late ACKs")
    t.note = "the server's segments in/out: " + ", ".join(
        f"{mode} {g[0]['Tcp.InSegs']}/{g[0]['Tcp.OutSegs']}" for mode, g in growth.items())


# ---- other XDP programs ----

def xdp_program(netns, dev):
    """Id of the program on the interface, None when there is none."""
    (link,) = json.loads(net.run("ip", "-n", netns, "-j", "-d", "link", "show", dev))
    return link.get("xdp", {}).get("prog", {}).get("id")


def counted(program):
    """What xdp_count has counted."""
    info = json.loads(bpf.bpftool("-j", "prog", "show", "id", str(program)))
    for map_id in info["map_ids"]:
        content = json.loads(bpf.bpftool("-j", "map", "dump", "id", str(map_id)))
        if bpf.bpftool("map", "show", "id", str(map_id)).split("name ")[1].split()[0] == "packets":
            return sum(int(byte, 16) << 8 * i for i, byte in enumerate(content[0]["value"]))
    raise AssertionError(f"no map of packets: {info}")


def program_named(name, known):
    """The youngest program of that name that is not one of `known`."""
    progs = json.loads(bpf.bpftool("-j", "prog", "show"))
    return max((p["id"] for p in progs if p.get("name") == name and p["id"] not in known), default=None)


def hits_and_count(s, c, program, hits=100):
    """The fast path answers, and the foreign program counts: both grow, or an assertion fails."""
    before, packets = c.fastpath_hits(), counted(program)
    for _ in range(hits):
        equal(c.call("GET", "k"), b"v")
    at_least(c.fastpath_hits() - before, hits - 5, "fastpath_hits beside another XDP program")
    at_least(counted(program) - packets, 1, "packets counted by the other XDP program")
    return counted(program) - packets


@case(needs_bpf=True)
def foreign_xdp_first(t):
    """Attached without libxdp: auto falls back to TC and says so once; xdp is refused; the program stays and counts."""
    pair = t.pair()
    net.run("ip", "-n", pair.server, "link", "set", "dev", pair.dev, "xdpdrv",
            "obj", f"{t.build}/tests/xdp_count.bpf.o", "sec", "xdp")
    program = xdp_program(pair.server, pair.dev)

    s = t.veth_server(pair, "auto")
    with s.client() as c:
        equal(c.info("fastpath")["fastpath_hooks"], f"{pair.dev}:tc")
        c.call("SET", "k", "v")
        assert c.make_hot("k"), "k does not become hot"
        at_least(hits_and_count(s, c, program), 100, "packets counted of 100 GETs")
    lines = [line for line in s.log_text().splitlines() if "XDP" in line or "xdp" in line]
    equal(len(lines), 1, f"lines about XDP: {lines}")
    assert "no native XDP" in lines[0], lines
    s.stop()
    equal(xdp_program(pair.server, pair.dev), program, "XDP program after the server's stop")

    s = t.veth_server(pair, "xdp", port=6380)
    with s.client() as c:
        info = c.info("fastpath")
        equal(info["fastpath_state"], "unavailable")
        assert "cannot attach native XDP" in info["fastpath_reason"], info["fastpath_reason"]
        equal(info["fastpath_hooks"], "")
        equal((c.call("SET", "k", "v"), c.call("GET", "k")), (Simple("OK"), b"v"))
    equal(xdp_program(pair.server, pair.dev), program, "XDP program beside a refused server")
    t.note = f"reason: {info['fastpath_reason']}"


@case(needs_bpf=True)
def foreign_xdp_by_libxdp(t):
    """xdp-loader before and after the server: both run where libxdp's dispatcher can be loaded, else the first one."""
    if not XDP_LOADER:
        raise Skip("no xdp-loader (package xdp-tools)")
    pair = t.pair()
    pair.client_xdp_pass(t.build)
    # libxdp keeps its dispatchers under /sys/fs/bpf, which `ip netns exec` would replace.
    inside = ("nsenter", f"--net=/run/netns/{pair.server}")
    known = {p["id"] for p in json.loads(bpf.bpftool("-j", "prog", "show"))}
    load = [*inside, XDP_LOADER, "load", "-m", "native", pair.dev, f"{t.build}/tests/xdp_count.bpf.o"]
    unload = [*inside, XDP_LOADER, "unload", "--all", pair.dev]

    def start():
        return t.server("--protected-mode", "no", "--fastpath", "auto", "--fastpath-interfaces", pair.dev,
                        host=pair.server4, prefix=inside, client_netns=pair.client)

    def check(s, program):
        with s.client() as c:
            c.call("SET", "k", "v")
            assert c.make_hot("k"), "k does not become hot"
            before = int(c.info("fastpath")["fastpath_hits_xdp"])
            if program:
                hits_and_count(s, c, program)
            for _ in range(100):
                equal(c.call("GET", "k"), b"v")
            info = c.info("fastpath")
            return info["fastpath_hooks"], int(info["fastpath_hits_xdp"]) - before

    proc.run(load)
    program = program_named("xdp_count", known)
    s = start()
    hooks, by_xdp = check(s, program)
    s.stop()
    packets = counted(program)
    try:
        s.client().close()
        raise AssertionError("a stopped server accepts connections")
    except ConnectionRefusedError:
        pass
    at_least(counted(program), packets + 1, "packets counted after the server's stop")
    together = hooks.endswith(":xdp")
    if together:
        at_least(by_xdp, 50, "hits at XDP behind another program")
    proc.run(unload)

    s = start()  # now the server is first
    hooks, by_xdp = check(s, None)
    equal(hooks, f"{pair.dev}:xdp")
    known.add(program)
    proc.run(load, check=False)
    second = program_named("xdp_count", known)
    hooks, by_xdp = check(s, second if together else None)
    equal(hooks, f"{pair.dev}:xdp")
    at_least(by_xdp, 50, "hits at XDP after another program came")
    s.stop()
    if together:
        proc.run(unload)
    equal(xdp_program(pair.server, pair.dev), None, "XDP program after all are gone")
    t.note = "both at XDP" if together else "no dispatcher on this kernel: who comes first has XDP, the server TC"


# ---- other services ----

def transfer(host, port, netns, data):
    """Send all of data to an echo service and read it back at the same time."""
    with net.inside(netns):
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    with sock:
        sock.settimeout(20)
        sock.connect((host, port))
        sender = threading.Thread(target=lambda: (sock.sendall(data), sock.shutdown(socket.SHUT_WR)), daemon=True)
        sender.start()
        back = bytearray()
        while part := sock.recv(1 << 20):
            back += part
        sender.join(10)
    assert bytes(back) == data, f"{len(back)} bytes came back of {len(data)}, or changed"


def beside_echo(t, start, hosts, netns, client_netns):
    """Echo's bytes and round trips per second with a server's fast path on the interface and without."""
    port = proc.free_port()
    t.start([f"{t.build}/tests/echo", port], netns=netns)

    def rate():
        args = [f"{t.build}/bench/pingpong", hosts[0], port, "some-key", 0.5]
        return json.loads(proc.run(args, client_netns))["rps"]

    s = start()
    data = os.urandom(8_000_000) + encode("GET", "k") * 1000
    with s.client() as c:
        c.call("SET", "k", "v")
        assert c.make_hot("k"), "k does not become hot"
        for host in hosts:
            transfer(host, port, client_netns, data)
            equal(c.call("GET", "k"), b"v")
    on, off = [rate()], []
    for _ in range(2):
        s.stop()
        off += [rate()]
        s = start()
        on += [rate()]
    # the best of each: a slow moment of the machine is nobody's fault
    t.note = (f"{max(on) / max(off):.2f} of the round trips without the fast path "
              f"({'/'.join(f'{r:.0f}' for r in on)} : {'/'.join(f'{r:.0f}' for r in off)})")
    # loose: the machine is shared, and veth itself copies every packet once it has a native XDP program
    at_least(max(on) / max(off), 0.5, "share of the rate without the fast path")


@case(needs_bpf=True)
def echo_on_lo(t):
    port = proc.free_port()
    beside_echo(t, lambda: t.server(port=port), ("127.0.0.1", "::1"), None, None)


@case(needs_bpf=True)
def echo_on_veth_xdp(t):
    pair = t.pair()
    pair.client_xdp_pass(t.build)
    beside_echo(t, lambda: t.veth_server(pair, "xdp"), (pair.server4, pair.server6), pair.server, pair.client)
