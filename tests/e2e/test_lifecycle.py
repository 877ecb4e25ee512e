"""Starts, stops, crashes and switches of the fast path, under load; and a look inside while it runs."""
import glob
import json
import socket
import threading
import time

from lib import bpf, proc
from lib.case import at_least, case, equal
from lib.resp import Client, Error, Simple


def on_host():
    """Links, programs on interfaces, and pins."""
    return bpf.attached() | {("pin", path) for path in glob.glob("/sys/fs/bpf/wirecache*/**", recursive=True)}


def left_behind(before):
    """What is on this host now and was not before, once the kernel had time to let go of it."""
    end = time.monotonic() + 5
    while (left := on_host() - before) and time.monotonic() < end:
        time.sleep(0.1)
    return left


@case(needs_bpf=True)
def clean_stop_leaves_nothing(t):
    before = on_host()
    s = t.server()
    with s.client() as c:
        c.call("SET", "k", "v")
        assert c.make_hot("k"), "k does not become hot"
        s.stop()  # with a connection open that has numbers to translate
        equal(c.read_to_end(), b"")
    equal(left_behind(before), set())


@case(needs_bpf=True)
def kill9_under_load(t):
    """Clients notice within 2 s, the host is not disturbed, the next start works and leaves nothing behind."""
    before = on_host()
    s = t.server()
    with s.client() as c:
        c.call("SET", "k", "v")
        assert c.make_hot("k"), "k does not become hot"
    ended, wrong = [], []

    def load():
        with s.client(timeout=10) as c:
            try:
                while True:
                    if c.call("GET", "k") != b"v":
                        wrong.append(c.raw)
                    if c.call("SET", "other", "x") != Simple("OK"):
                        wrong.append(c.raw)
            except (EOFError, ConnectionError):
                ended.append(time.monotonic())

    threads = [threading.Thread(target=load, daemon=True) for _ in range(8)]
    idle = s.client()  # one that has hits behind it and is just sitting there
    assert idle.make_hot("k"), "k is not hot on an idle connection"
    for thread in threads:
        thread.start()
    time.sleep(1)
    killed = time.monotonic()
    s.kill()
    equal(idle.read_to_end(), b"")
    ended.append(time.monotonic())
    for thread in threads:
        thread.join(10)
    equal(wrong, [], "wrong replies")
    equal(len(ended), 9, "clients that noticed")
    t.note = f"clients noticed after {max(ended) - killed:.2f} s"
    assert max(ended) - killed < 2, t.note

    begun = time.monotonic()
    try:
        Client(s.port).close()
        raise AssertionError("something still accepts connections")
    except ConnectionRefusedError:
        pass
    with socket.create_server(("127.0.0.1", 0)) as listener:  # other traffic on lo
        with socket.create_connection(listener.getsockname(), timeout=2) as a, listener.accept()[0] as b:
            a.sendall(b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n")
            equal(len(b.recv(100)), 20)
    assert time.monotonic() - begun < 1, "loopback is slow after the crash"

    again = t.server(port=s.port)
    with again.client() as c:
        equal(c.call("GET", "k"), None)
        c.call("SET", "k", "new")
        assert c.make_hot("k"), f"nothing is hot after the crash: {c.info('fastpath')}"
        equal(c.call("GET", "k"), b"new")
    again.stop()
    equal(left_behind(before), set())


@case(needs_bpf=True)
def maps_can_be_read(t):
    """bpftool shows hot keys and their replies as text while the server runs."""
    s = t.server("--fastpath-hot-keys", "64")
    with s.client() as c:
        c.call("SET", "inspected-key", "inspected value")
        assert c.make_hot("inspected-key"), "the key does not become hot"
        keys = bpf.bpftool("map", "dump", "name", "hot_keys")
        values = bpf.bpftool("map", "dump", "name", "hot_values")
    assert '"inspected-key"' in keys, keys[:500]
    assert "inspected value" in values, "no readable value in hot_values"
    json.loads(keys)


@case(needs_bpf=True)
def config_set_under_load(t):
    s = t.server()
    load = t.start([f"{t.build}/tests/coherence", s.host, s.port, 6, 6, 4], stdout=open(f"{t.dir}/load", "w"))
    with s.client() as c:
        for _ in range(5):
            time.sleep(0.3)
            equal(c.call("CONFIG", "SET", "fastpath", "off"), Simple("OK"))
            info = c.info("fastpath")
            equal(info["fastpath_state"], "off")
            time.sleep(0.2)
            equal(c.fastpath_hits(), int(info["fastpath_hits"]), "fastpath_hits while off")
            equal(c.call("CONFIG", "SET", "fastpath", "auto"), Simple("OK"))
            equal(c.info("fastpath")["fastpath_state"], "active")
            time.sleep(0.3)
            at_least(c.fastpath_hits(), int(info["fastpath_hits"]) + 1, "fastpath_hits after switching on again")
        assert isinstance(c.call("CONFIG", "SET", "fastpath", "sometimes"), Error)
        equal(load.wait(30), 0, f"coherence: {proc.tail(f'{t.dir}/load')}")
        t.note = proc.tail(f"{t.dir}/load")[0]


@case(needs_bpf=True)
def started_off_and_switched_on(t):
    with t.server("--fastpath", "off").client() as c:
        equal(c.info("fastpath")["fastpath_state"], "off")
        c.call("SET", "k", "v")
        equal(c.call("CONFIG", "SET", "fastpath", "auto"), Simple("OK"))
        equal(c.info("fastpath")["fastpath_state"], "active")
    # Connections made from now on are followed; those from before are served as ever.


@case(needs_bpf=True)
def two_servers_one_host(t):
    """On ports of their own they do not disturb each other."""
    a, b = t.server(), t.server()
    with a.client() as ca, b.client() as cb:
        ca.call("SET", "k", "a")
        cb.call("SET", "k", "b")
        assert ca.make_hot("k"), "not hot on the first server"
        cb.make_hot("k", seconds=1)
        for _ in range(100):
            equal((ca.call("GET", "k"), cb.call("GET", "k")), (b"a", b"b"))


@case(needs_bpf=True)
def detach_cleans_up_after_a_crash(t):
    s = t.server()
    pins = f"/sys/fs/bpf/wirecache/{s.port}"
    refused = proc.run([f"{t.build}/wirecachectl", "detach", "--port", s.port], check=False)
    assert "removed" not in refused, "detach touched a live server"
    with s.client() as c:
        c.call("SET", "k", "v")
        assert c.make_hot("k"), "detach hurt a live server"
    s.kill()
    assert glob.glob(f"{pins}*/tc_in-lo"), "a killed server leaves its links pinned, or this test is void"
    assert "removed" in proc.run([f"{t.build}/wirecachectl", "detach", "--port", s.port])
    equal(glob.glob(f"{pins}*"), [], "pins left")


@case(needs_bpf=True)
def doctor_finds_what_is_there(t):
    text = proc.run([f"{t.build}/wirecachectl", "doctor"])
    assert "ok      lo: loopback" in text and "PROBLEM" not in text, text
    text = proc.run([f"{t.build}/wirecachectl", "doctor", "--fastpath-interfaces", "lo nonesuch"], check=False)
    assert "PROBLEM nonesuch: No such device" in text, text
