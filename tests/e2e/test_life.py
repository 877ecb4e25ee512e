"""Long lives and sudden ends: idle connections, the server closing first, lost last words, links that change."""
import glob
import json
import os
import socket
import threading
import time

from lib import bpf, net, netstat, nft, proc
from lib.case import at_least, case, equal
from lib.resp import Simple, encode

# ---- helpers ----

def on_host(t, pair, mode, port=None):
    """A server in the namespace with the host's bpffs, where pins outlive it; `ip netns exec` gives it one of its own.
    On a port that no other server on this host has, in whatever namespace."""
    return t.server("--protected-mode", "no", "--fastpath", mode, "--fastpath-interfaces", pair.dev, port=port,
                    host=pair.server4, prefix=("nsenter", f"--net=/run/netns/{pair.server}"), client_netns=pair.client)


def pins_of(s):
    return {os.path.basename(pin) for pin in glob.glob(f"/sys/fs/bpf/wirecache/{s.port}*/*")}


def hot_client(s, key="k", **kwargs):
    """A client whose GETs of key, value b"v", the kernel answers."""
    c = s.client(**kwargs)
    if c.call("GET", key) != b"v":
        c.call("SET", key, "v")
    assert c.make_hot(key), f"{key} does not become hot"
    return c


def local_port(c):
    return c.sock.getsockname()[1]


def deaf(pair, c):
    """The client hears nothing from the server for the length of a with block."""
    return nft.losing(pair.client, f"tcp dport {local_port(c)}")


def seconds_to_end(c, limit=10.0):
    """How long the server's closing, FIN or RST, takes to arrive. What comes before it is in c.rest."""
    begun = time.monotonic()
    c.sock.settimeout(limit)
    c.rest = c.read_to_end()  # raises TimeoutError when nothing comes
    return time.monotonic() - begun


# ---- idle connections ----

def probes(netns):
    return netstat.read(netns).get("TcpExt.TCPKeepAlive", 0)


@case(needs_bpf=True)
def keepalive(t):
    """Hits, then silence across several keepalive probes of the server's or the client's, then hits: connections that
    the kernel serves all the time and connections that nobody uses stay."""
    pair = t.pair()
    pair.client_xdp_pass(t.build)
    idle, busy, probing = [], [], []
    for mode, port in (("tc", 6379), ("xdp", 6380)):
        s = t.veth_server(pair, mode, "--tcp-keepalive", "1", port=port)
        idle.append(hot_client(s))
        busy.append(hot_client(s))
        equal(busy[-1].call("CONFIG", "SET", "tcp-keepalive", "0"), Simple("OK"))
        probing.append(hot_client(s))
        for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 3)):
            probing[-1].sock.setsockopt(socket.IPPROTO_TCP, option, value)
        probing[-1].sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    before = probes(pair.server), probes(pair.client)
    end = time.monotonic() + 5
    while time.monotonic() < end:
        for c in busy:
            equal(c.call("GET", "k"), b"v")
        time.sleep(0.05)
    sent = probes(pair.server) - before[0], probes(pair.client) - before[1]
    at_least(sent[0], 10, "keepalive probes by the servers")
    at_least(sent[1], 6, "keepalive probes by the clients")
    for c in idle + busy + probing:
        hits = c.fastpath_hits()
        for _ in range(100):
            equal(c.call("GET", "k"), b"v")
        at_least(c.fastpath_hits() - hits, 98, "hits after the probes")
        equal(c.call("SET", "other", "x"), Simple("OK"))
        c.close()
    t.note = f"{sent[0]} probes by the servers, {sent[1]} by the clients, all answered"


@case(needs_bpf=True)
def timeout_knows_of_hits(t):
    """A client that only the kernel hears is not idle; one that had hits and fell silent is."""
    s = t.server("--timeout", "2")
    busy, idle = hot_client(s), hot_client(s)
    begun, idle_ended = time.monotonic(), []
    waiter = threading.Thread(target=lambda: idle_ended.append(seconds_to_end(idle)), daemon=True)
    waiter.start()
    while time.monotonic() < begun + 4:
        equal(busy.call("GET", "k"), b"v")
        time.sleep(0.05)
    waiter.join(5)
    assert idle_ended and 1.5 <= idle_ended[0] <= 4, f"the idle client was closed after {idle_ended} s, not 2"
    equal(busy.call("PING"), Simple("PONG"))
    t.note = f"the idle client was closed after {idle_ended[0]:.1f} s"


# ---- the server closes first, its last words are lost ----

def closing_first(t, mode, *args, end, start=None):
    """The kernel's reply and the server's FIN behind it are lost. The client still gets both."""
    pair = t.pair()
    nft.need(pair.client)
    pair.client_xdp_pass(t.build)
    s = start(t, pair, mode) if start else t.veth_server(pair, mode, *args)
    value = b"v" * 900
    c, control = s.client(), s.client()
    control.call("SET", "large", value)
    hot_client(s).close()
    assert c.make_hot("large"), "not hot"
    hits = control.fastpath_hits()
    with deaf(pair, c):
        c.send(encode("GET", "large"))
        time.sleep(0.02)
        equal(control.fastpath_hits() - hits, 1, "in-kernel replies")
        end(s, pair, c, control)
        time.sleep(0.3)
    took = seconds_to_end(c)
    equal(c.rest, b"$900\r\n" + value + b"\r\n", "what the client got")
    t.note = f"reply and end arrived {took:.1f} s later"
    assert took < 5, t.note
    return pair, s


def client_kill(s, pair, c, control):
    equal(control.call("CLIENT", "KILL", "ADDR", f"{pair.client4}:{local_port(c)}"), 1)


def idle_timeout(s, pair, c, control):
    time.sleep(2.2)


def shutdown(s, pair, c, control):
    control.send(encode("SHUTDOWN", "NOSAVE"))
    control.close()


def sigkill(s, pair, c, control):
    s.kill()


@case(needs_bpf=True)
def reply_lost_before_client_kill_tc(t):
    closing_first(t, "tc", end=client_kill)


@case(needs_bpf=True)
def reply_lost_before_client_kill_xdp(t):
    closing_first(t, "xdp", end=client_kill)


@case(needs_bpf=True)
def reply_lost_before_timeout(t):
    closing_first(t, "tc", "--timeout", "1", end=idle_timeout)


@case(needs_bpf=True)
def reply_lost_before_shutdown(t):
    _, s = closing_first(t, "tc", end=shutdown)
    equal(s.wait(5), 0, "exit code")


@case(needs_bpf=True)
def reply_lost_before_kill9(t):
    """With pins that outlive the process its programs go on translating; the next start removes them."""
    pair, s = closing_first(t, "auto", end=sigkill, start=on_host)
    wanted = {"sock_ops", f"tc_in-{pair.dev}", f"tc_out-{pair.dev}"}
    equal(pins_of(s) & wanted, wanted, "pins after kill -9")
    again = on_host(t, pair, "auto", port=s.port)
    with again.client() as c:
        assert c.call("GET", "k") is None, "a value outlived the process"
        hot_client(again).close()
    assert "removed what an earlier process left" in again.log_text(), "nothing was removed at the next start"
    again.stop()
    equal(pins_of(s), set(), "pins in the end")
    links = json.loads(net.run("ip", "-n", pair.server, "-j", "link", "show", pair.dev))
    assert "xdp" not in links[0], f"an XDP program is still there: {links}"


@case(needs_bpf=True)
def reply_lost_before_kill9_and_restart(t):
    """The next start comes before the client has heard of the end: it must hear of it all the same."""
    pair = t.pair()
    nft.need(pair.client)
    s = on_host(t, pair, "tc")
    c = hot_client(s)
    with deaf(pair, c):
        c.send(encode("GET", "k"))
        time.sleep(0.05)
        s.kill()
        again = on_host(t, pair, "tc", port=s.port)
        time.sleep(0.1)
    took = seconds_to_end(c, 8)
    t.note = f"the end arrived {took:.1f} s after the loss"
    assert "another minute" in again.log_text(), "the next start did not keep the old programs for a while"
    hot_client(again).close()
    again.stop()
    equal(pins_of(s), set(), "pins in the end")


@case(needs_bpf=True)
def lost_replies_are_replayed(t):
    """Of every size, at both hooks: the request that is sent again gets the reply that was lost."""
    pair = t.pair()
    nft.need(pair.client)
    pair.client_xdp_pass(t.build)
    took = {}
    for mode, port in (("tc", 6379), ("xdp", 6380)):
        s = t.veth_server(pair, mode, port=port)
        with s.client() as c, s.client() as control:
            for size in (1, 100, 400, 700, 1024):
                value = b"v" * size
                control.call("SET", "k", value)
                assert c.make_hot("k"), f"{size} bytes do not become hot"
                begun, replays = time.monotonic(), int(control.info("fastpath")["fastpath_replays"])
                with deaf(pair, c):
                    c.send(encode("GET", "k"))
                    time.sleep(0.05)
                equal(c.read(), value, f"{mode}, {size} bytes")
                took[mode, size] = time.monotonic() - begun
                info = control.info("fastpath")
                at_least(int(info["fastpath_replays"]) - replays, 1, f"replays, {mode}, {size} bytes")
                equal(info["fastpath_dropped_replays"], "0", f"replays that could not be sent, {mode}, {size} bytes")
    t.note = f"the slowest after {max(took.values()):.2f} s"
    assert max(took.values()) < 1.5, took


# ---- links that change ----

class Load:
    """Clients that GET and SET all the time and compare every reply."""

    def __init__(self, s, value, n=3):
        self.stop, self.wrong, self.done = threading.Event(), [], [0] * n
        with s.client() as c:
            c.call("SET", "k", value)
            assert c.make_hot("k"), "k does not become hot"
        self.threads = [threading.Thread(target=self.run, args=(s, i, value), daemon=True) for i in range(n)]
        for thread in self.threads:
            thread.start()

    def run(self, s, i, value):
        try:
            with s.client(timeout=15) as c:
                while not self.stop.is_set():
                    for _ in range(9):
                        if c.call("GET", "k") != value:
                            self.wrong.append(c.raw[:60])
                        self.done[i] += 1
                    own = os.urandom(1500)
                    if c.call("SET", f"own{i}", own) != Simple("OK") or c.call("GET", f"own{i}") != own:
                        self.wrong.append(c.raw[:60])
        except (OSError, EOFError) as e:
            self.wrong.append(f"client {i}: {e!r}")

    def moves(self, limit, what):
        """Every client gets on within limit seconds."""
        begun, before = time.monotonic(), list(self.done)
        while any(now < then + 20 for now, then in zip(self.done, before)):
            if self.wrong or time.monotonic() - begun > limit:
                raise AssertionError(f"{what}: no progress in {limit} s, requests answered since: "
                                     f"{[b - a for a, b in zip(before, self.done)]}; wrong: {self.wrong}")
            time.sleep(0.02)
        return time.monotonic() - begun

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(15)
        equal(self.wrong, [], "wrong replies")


def changing_link(t, mode):
    """The link goes down and comes back, its MTU shrinks below the reply and grows: connections survive all of it."""
    pair = t.pair()
    pair.client_xdp_pass(t.build)
    s = t.veth_server(pair, mode)
    load, slowest = Load(s, b"v" * 1000), {}

    def link(*change, ends=(pair.server, pair.client)):
        for netns in ends:
            net.run("ip", "-n", netns, "link", "set", pair.dev, *change)

    try:
        load.moves(3, "at first")
        for end in (pair.server, pair.client):
            link("down", ends=(end,))
            time.sleep(0.3)
            link("up", ends=(end,))
            slowest["down and up"] = max(slowest.get("down and up", 0), load.moves(5, f"down and up at {end}"))
        mtus = ("600", "1500", "9000", "1500") if mode == "tc" else ("600", "1500")  # native XDP limits veth's MTU
        if mode == "tc":
            net.run("ip", "-n", pair.client, "link", "set", "dev", pair.dev, "xdpdrv", "off")
        for mtu in mtus:
            link("mtu", mtu)
            slowest[f"MTU {mtu}"] = load.moves(3, f"MTU {mtu}")
    finally:
        load.end()
    with s.client() as c:
        assert c.make_hot("k"), "a new connection gets no hits afterwards"
        equal(c.call("GET", "k"), b"v" * 1000)
    t.note = ", ".join(f"{what} {seconds:.2f} s" for what, seconds in slowest.items())


@case(needs_bpf=True)
def changing_link_tc(t):
    changing_link(t, "tc")


@case(needs_bpf=True)
def changing_link_xdp(t):
    changing_link(t, "xdp")


# ---- switching off; connection numbers ----

def map_ids(s):
    """Of a server that runs on the host itself: {"conns": id, "conn_ctl": id}"""
    (pins,) = glob.glob(f"/sys/fs/bpf/wirecache/{s.port}*")
    return {name: json.loads(bpf.bpftool("-j", "map", "show", "pinned", f"{pins}/{name}"))["id"]
            for name in ("conns", "conn_ctl")}


def remembered(t, ids, older=None):
    """(entries in conns, those that linger after their socket closed); older: they have done so that much longer."""
    args = [f"{t.build}/tests/linger", ids["conns"], ids["conn_ctl"]]
    return tuple(map(int, proc.run(args + ([older] if older else [])).split()))


def wait_for(true, seconds, what):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.05)


@case(needs_bpf=True)
def off_detaches_when_nothing_translates(t):
    """CONFIG SET fastpath off: hooks stay as long as a connection has hits behind it, also for the minute that it is
    remembered after its end, and go then. Connections from before stay right all the while, and when it is on again."""
    s = t.server()
    ids = map_ids(s)
    old, control = hot_client(s), s.client()

    def hooks():
        return control.info("fastpath")["fastpath_hooks"]

    equal(control.call("CONFIG", "SET", "fastpath", "off"), Simple("OK"))
    time.sleep(1.3)
    equal(hooks(), "lo:tc", "hooks while a connection needs translation")
    for _ in range(50):
        equal(old.call("GET", "k"), b"v")
    equal(old.call("SET", "k", "w"), Simple("OK"))
    equal(old.call("GET", "k"), b"w")
    old.close()
    wait_for(lambda: remembered(t, ids)[1] >= 1, 2, "the closed connection is remembered")
    equal(hooks(), "lo:tc", "hooks while a closed connection is remembered")
    remembered(t, ids, older=70)
    wait_for(lambda: hooks() == "", 4, "hooks are gone")
    assert "fast path: detached" in s.log_text(), "no log line about detaching"
    equal(control.call("GET", "k"), b"w")
    equal(control.call("CONFIG", "SET", "fastpath", "auto"), Simple("OK"))
    equal(hooks(), "lo:tc")
    for i in range(50):
        control.call("SET", "k", f"x{i}")
        equal([control.call("GET", "k") for _ in range(5)], [b"x%d" % i] * 5)
    with s.client() as new:
        assert new.make_hot("k"), "not hot after switching on again"
    control.close()


@case(needs_bpf=True)
def many_short_connections(t):
    """Connections without hits leave no entry behind; their numbers serve again and again."""
    s = t.server("--maxclients", "200")
    ids = map_ids(s)
    begun = time.monotonic()
    for i in range(2000):
        with s.client() as c:
            if i % 4 == 0:
                equal(c.call("PING"), Simple("PONG"))
        if i % 500 == 499:
            time.sleep(0.3)  # numbers come back ten times a second; a faster burst only costs acceleration
    rate = 2000 / (time.monotonic() - begun)
    with s.client() as c:
        wait_for(lambda: remembered(t, ids)[0] <= 1, 3, "no entry but this connection's")
        equal(c.info("fastpath")["fastpath_no_number"], "0")
    t.note = f"{rate:.0f} connections/s"


def batch(s, value, n=50):
    """n connections that each ask three times: the last time the kernel answers, when they have a number."""
    clients = [s.client() for _ in range(n)]
    for wait in (0.004, 0, 0):
        for c in clients:
            equal(c.call("GET", "k"), value)
        time.sleep(wait)
    for c in clients:
        c.close()


@case(needs_bpf=True)
def numbers_run_out(t):
    """With maxclients 200 there are 1224 numbers, each in use for a minute after a connection with hits. When they are
    used up connections are served without the kernel's help; after the minute they get it again."""
    s = t.server("--maxclients", "200")
    ids = map_ids(s)
    with s.client() as c:
        c.call("SET", "k", "v")
        assert c.make_hot("k"), "k does not become hot"
        for _ in range(30):
            batch(s, b"v")
        info = c.info("fastpath")
        short = int(info["fastpath_no_number"])
        at_least(short, 100, "connections without a number, of 1500")
        entries, lingering = remembered(t, ids)
        at_least(lingering, 1000, "connections remembered")
        with s.client() as late:  # not accelerated, never wrong
            before = late.fastpath_hits()
            equal([late.call("GET", "k") for _ in range(50)], [b"v"] * 50)
            equal(late.fastpath_hits(), before, "hits without a number")
        remembered(t, ids, older=70)
        wait_for(lambda: remembered(t, ids)[0] <= 2, 3, "they are forgotten after a minute")
        time.sleep(0.3)
        for _ in range(20):
            batch(s, b"v")
        equal(int(c.info("fastpath")["fastpath_no_number"]), short + 1, "connections without a number")
        with s.client() as again:
            assert again.make_hot("k"), "not accelerated after the minute"
    t.note = f"{lingering} remembered, {short} connections without a number"
