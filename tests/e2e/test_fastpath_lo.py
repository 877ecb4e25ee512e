"""Loopback, a plain start as root: hot GETs are answered in the kernel, and every answer is right."""
import os
import time

from lib import transcript
from lib.case import at_least, case, equal
from lib.resp import Simple, encode


@case(needs_bpf=True)
def plain_start_is_active(t):
    s = t.server()
    with s.client() as c:
        info = c.info("fastpath")
        equal((info["fastpath_state"], info["fastpath_hooks"]), ("active", "lo:tc"))
        c.call("SET", "k", "v1")
        assert c.make_hot("k"), f"k does not become hot: {c.info('fastpath')}"
        before = c.info()
        for _ in range(1000):
            equal(c.call("GET", "k"), b"v1")
        after = c.info()

    def grown(field):
        return int(after[field]) - int(before[field])

    at_least(grown("fastpath_hits"), 990, "fastpath_hits of 1000 GETs")
    at_least(grown("keyspace_hits"), 1000, "keyspace_hits, the kernel's included")
    at_least(grown("total_commands_processed"), 1000, "total_commands_processed, the kernel's included")


@case(needs_bpf=True)
def changes_are_seen_at_once(t):
    s = t.server()
    with s.client() as c, s.client() as other:
        c.call("SET", "k", "v0")
        assert c.make_hot("k"), "k does not become hot"
        for i in range(300):
            equal(other.call("SET", "k", f"v{i}"), Simple("OK"))
            equal(c.call("GET", "k"), b"v%d" % i)
            equal(other.call("GET", "k"), b"v%d" % i)
        for change, value in (
            (("APPEND", "k", "+"), b"v299+"),
            (("SET", "k", "x" * 1024), b"x" * 1024),
            (("SET", "k", "x" * 1025), b"x" * 1025),
            (("SET", "k", "7"), b"7"),
            (("INCR", "k"), b"8"),
            (("DEL", "k"), None),
            (("MSET", "k", "again", "l", "l"), b"again"),
            (("FLUSHALL",), None),
            (("SET", "k", "back"), b"back"),
            (("GETDEL", "k"), None),
        ):
            for _ in range(30):
                c.call("GET", "k")
            other.call(*change)
            equal(c.call("GET", "k"), value, f"after {change[0]}")


@case(needs_bpf=True)
def expiry(t):
    with t.server().client() as c:
        c.call("SET", "k", "v")
        assert c.make_hot("k"), "k does not become hot"
        c.call("PEXPIRE", "k", 300)
        end = time.monotonic() + 0.3
        while (value := c.call("GET", "k")) is not None:
            equal(value, b"v")
            assert time.monotonic() < end + 0.1, "still there 0.1 s after it should have expired"
        at_least(time.monotonic(), end - 0.1, "gone too early: time")
        c.call("SET", "k", "v2")
        equal(c.call("GET", "k"), b"v2")
        c.call("SET", "k", "v3", "EX", 100)
        for _ in range(100):
            equal(c.call("GET", "k"), b"v3")
        c.call("PEXPIREAT", "k", 1)
        equal(c.call("GET", "k"), None)


@case(needs_bpf=True)
def other_databases_are_not_answered(t):
    with t.server().client() as c:
        c.call("SET", "k", "zero")
        assert c.make_hot("k"), "k does not become hot"
        c.call("SELECT", 1)
        equal(c.call("GET", "k"), None)
        c.call("SET", "k", "one")
        for _ in range(50):
            equal(c.call("GET", "k"), b"one")
        c.call("SELECT", 0)
        for _ in range(50):
            equal(c.call("GET", "k"), b"zero")


@case(needs_bpf=True)
def pipelines_between_hits(t):
    """Hits, then a pipeline that the kernel passes up, then hits: the stream stays in order."""
    with t.server().client() as c:
        c.call("SET", "k", "v")
        assert c.make_hot("k"), "k does not become hot"
        for i in range(200):
            equal(c.call("GET", "k"), b"v")
            c.send(encode("GET", "k") + encode("SET", "n", i) + encode("GET", "n") + encode("GET", "k"))
            equal([c.read() for _ in range(4)], [b"v", Simple("OK"), b"%d" % i, b"v"])


@case(needs_bpf=True)
def large_transfers_after_hits(t):
    """Segments beyond 64 KB (their IP length field is 0) are translated both ways once a connection had hits."""
    s = t.server()
    for host in ("127.0.0.1", "::1"):
        with s.client(host, timeout=10) as c, s.client(host, timeout=10) as fresh:
            c.call("SET", "k", "v")
            assert c.make_hot("k"), "k does not become hot"
            for _ in range(3):
                value = os.urandom(5_000_000)
                equal(c.call("SET", "large", value), Simple("OK"))
                assert fresh.call("GET", "large") == value, f"{host}: SET of 5 MB after hits stored something else"
                assert c.call("GET", "large") == value, f"{host}: GET of 5 MB after hits returned something else"
                equal(c.call("GET", "k"), b"v")


@case(needs_bpf=True)
def same_answers_on_and_off(t):
    for host in ("127.0.0.1", "::1"):
        with t.server().client(host) as on, t.server("--fastpath", "off").client(host) as off:
            replies = transcript.record(on)
            transcript.compare(replies, transcript.record(off))
            at_least(on.fastpath_hits(), 100, f"fastpath_hits in the transcript over {host}")
            equal(off.fastpath_hits(), 0, "fastpath_hits with the fast path off")
            t.note = f"{len(replies)} requests"


@case(needs_bpf=True, timeout=120)
def benchmark_hit_ratio(t):
    s = t.server()
    n = 300_000
    with s.client() as c:
        c.call("SET", "key:__rand_int__", "xxx")
        before = c.fastpath_hits()
        rates = s.benchmark("-t", "get", "-n", n)
        ratio = (c.fastpath_hits() - before) / n
    t.note = f"{ratio:.2%} in the kernel, {rates['GET']:.0f} GET/s with 50 connections"
    at_least(ratio, 0.99, "share of fastpath_hits")


@case(needs_bpf=True, timeout=120)
def benchmark_of_everything(t):
    s = t.server()
    for more in ((), ("-P", "16"), ("-d", "1000", "-r", "1000"), ("-3",)):
        rates = s.benchmark("-t", "ping,set,get,incr,mset", "-n", "20000", "-c", "20", *more)
        at_least(len(rates), 5, f"tests done with {more}")
    equal(s.cli("PING"), "PONG\n")
