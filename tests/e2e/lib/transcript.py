"""The same requests to two servers: their replies must be the same bytes, whichever half answers."""
import random

SIZES = (0, 1, 2, 9, 10, 99, 100, 500, 999, 1000, 1023, 1024, 1025, 3000)
KEYS = [b"a", b"key:1", b"binary \0\r\n\xff", b"k" * 123, b"k" * 124, b"k" * 125, b"n"]


def requests(seed=1, rounds=150):
    """Mostly GETs, in bursts, so that keys are hot when something happens to them."""
    rng = random.Random(seed)
    yield ("FLUSHALL",)
    for i in range(rounds):
        key, other = rng.choice(KEYS), rng.choice(KEYS)
        value = bytes(rng.getrandbits(8) for _ in range(rng.choice(SIZES)))
        yield from rng.choice((
            [("SET", key, value)],
            [("SET", key, str(rng.randrange(-5, 10**12)))],
            [("SET", "n", i), ("INCR", "n"), ("GET", "n"), ("DECRBY", "n", 7)],
            [("APPEND", key, b"+" * rng.randrange(30))],
            [("DEL", key), ("GET", key), ("SETNX", key, value), ("SETNX", key, b"no")],
            [("MSET", key, b"m1", other, value), ("MGET", key, other, "nonesuch")],
            [("GETSET", key, value), ("GETDEL", other), ("GET", other)],
            [("SET", key, value, "PX", 100000), ("PERSIST", key), ("TTL", key), ("STRLEN", key)],
            [("SET", key, value, "XX", "GET"), ("SET", key, b"never", "NX", "GET")],
            [("GETEX", key, "EXAT", 1), ("GET", key)],
            [("SELECT", 1), ("SET", key, b"elsewhere"), ("GET", key), ("SELECT", 0)],
            [("get", key), ("Get", key), ("GET",), ("GET", key, other), ("GET", b"x" * 2000)],
            [("HELLO", rng.choice((2, 3)), "SETNAME", "t"), ("GET", "nonesuch")],
            [("FLUSHDB",) if rng.random() < 0.3 else ("EXISTS", key, other)],
        ))
        for _ in range(rng.randrange(1, 12)):
            yield ("GET", rng.choice((key, other)))
    yield ("DBSIZE",)


def record(client):
    """[(request, reply bytes)]. HELLO's reply has ids of its own and is left out."""
    out = []
    for request in requests():
        client.call(*request)
        if request[0] != "HELLO":
            out.append((request, client.raw))
    return out


def compare(on, off):
    for (request, a), (_, b) in zip(on, off, strict=True):
        if a != b:
            short = tuple(r if len(str(r)) < 50 else f"{str(r)[:40]}..." for r in request)
            raise AssertionError(f"{short}: {a[:80]!r} with the fast path, {b[:80]!r} without")
