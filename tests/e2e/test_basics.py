"""The server over TCP, whichever half answers: protocols, pipelines, bad input, errors at start."""
import os
import shutil
import subprocess
import threading
import time

from lib import proc
from lib.case import case, equal
from lib.resp import Error, Simple, encode


@case()
def redis_cli(t):
    s = t.server()
    for proto in ((), ("-3",)):
        equal(s.cli(*proto, "PING"), "PONG\n")
        equal(s.cli(*proto, "SET", "greeting", "hello"), "OK\n")
        for _ in range(3):
            equal(s.cli(*proto, "GET", "greeting"), "hello\n")
        equal(s.cli(*proto, "GET", "nonesuch"), "\n")
        equal(s.cli(*proto, "--no-raw", "GET", "nonesuch"), "(nil)\n")
        equal(s.cli(*proto, "MSET", "a", "1", "b", "two words"), "OK\n")
        equal(s.cli(*proto, "MGET", "a", "nonesuch", "b"), "1\n\ntwo words\n")
        equal(s.cli(*proto, "--no-raw", "INCRBY", "a", "41"), "(integer) 42\n")
        equal(s.cli(*proto, "DEL", "a", "b", "nonesuch"), "2\n")
        equal(s.cli(*proto, "SET", "a", "x", "EX", "100"), "OK\n")
        assert 80 <= int(s.cli(*proto, "TTL", "a")) <= 100, "TTL of a key just given 100 s"
        assert "wirecache" in s.cli(*proto, "INFO", "server"), "INFO server does not name wirecache"
    equal(s.cli("-n", "3", "SET", "only-in-3", "x"), "OK\n")
    equal(s.cli("GET", "only-in-3"), "\n")


@case()
def protocols(t):
    with t.server().client() as c:
        equal(c.call("PING"), Simple("PONG"))
        equal(c.call("SET", "k", "v"), Simple("OK"))
        equal(c.call("GET", "nonesuch"), None)
        equal(c.raw, b"$-1\r\n")
        hello = c.call("HELLO", "3")
        equal(hello[b"proto"], 3)
        equal(c.call("GET", "nonesuch"), None)
        equal(c.raw, b"_\r\n")
        for _ in range(5):
            equal(c.call("GET", "k"), b"v")
            equal(c.raw, b"$1\r\nv\r\n")
        equal(c.call("CONFIG", "GET", "port").keys(), {b"port"})
        equal(c.call("HELLO", "2")[:2], [b"server", b"redis"])
        equal(c.call("GET", "nonesuch"), None)
        equal(c.raw, b"$-1\r\n")
        equal(c.call("HELLO", "4"), Error("NOPROTO unsupported protocol version"))
        c.send(b"PING\r\n\r\nECHO \"a b\"\r\n")  # inline, with an empty line
        equal(c.read(), Simple("PONG"))
        equal(c.read(), b"a b")
        equal(c.call("QUIT"), Simple("OK"))
        equal(c.read_to_end(), b"")


@case()
def big_values(t):
    with t.server().client(timeout=20) as c:
        for size in (0, 1, 1023, 1024, 1025, 65536, 5_000_000):
            value = os.urandom(size)
            equal(c.call("SET", b"k\0\r\n\xff", value), Simple("OK"))
            for _ in range(4):
                assert c.call("GET", b"k\0\r\n\xff") == value, f"value of {size} bytes came back changed"


PIPELINE = (
    encode("SET", "k", "v1") + encode("GET", "k") + encode("GET", "nonesuch") + b"PING\r\n"
    + encode("SET", "k", "a\r\nb") + encode("GET", "k") + encode("GET", "k")
)
PIPELINE_REPLY = b"+OK\r\n$2\r\nv1\r\n$-1\r\n+PONG\r\n+OK\r\n$4\r\na\r\nb\r\n$4\r\na\r\nb\r\n"


def read_exactly(c, n):
    data = b""
    while len(data) < n:
        part = c.sock.recv(n - len(data))
        if not part:
            raise EOFError
        data += part
    return data


@case()
def every_split_of_a_pipeline(t):
    """Two segments, cut at every place, and a byte at a time; on one connection, so nothing may be left over."""
    with t.server().client() as c:
        for cut in range(1, len(PIPELINE)):
            c.send(PIPELINE[:cut])
            time.sleep(0.002)
            c.send(PIPELINE[cut:])
            equal(read_exactly(c, len(PIPELINE_REPLY)), PIPELINE_REPLY, f"cut at {cut}")
        for byte in PIPELINE:
            c.send(bytes([byte]))
        equal(read_exactly(c, len(PIPELINE_REPLY)), PIPELINE_REPLY, "byte by byte")


@case()
def long_pipeline(t):
    """More requests in flight than any buffer holds, sent while replies are read; replies in order."""
    n = 50_000
    data = b"".join(encode("SET", f"k{i % 1000}", i) + encode("GET", f"k{i % 1000}") for i in range(n))
    with t.server().client(timeout=30) as c:
        sender = threading.Thread(target=c.send, args=(data,), daemon=True)
        sender.start()
        for i in range(n):
            equal(c.read(), Simple("OK"))
            equal(c.read(), str(i).encode())
        sender.join(10)


MALFORMED = {
    b"*1\r\n+3\r\n": "expected '$', got '+'",
    b"*x\r\n": "invalid multibulk length",
    b"*2147483648\r\n": "invalid multibulk length",
    b"*1\r\n$-5\r\n": "invalid bulk length",
    b"*1\r\n$x\r\n": "invalid bulk length",
    b"*2\r\n$3\r\nGET\r\n$536870913\r\n": "invalid bulk length",
    b"GET \"unbalanced\r\n": "unbalanced quotes in request",
    b"x" * 70000: "too big inline request",
    b"*" + b"1" * 70000: "too big mbulk count string",
    b"*1\r\n$" + b"1" * 70000: "too big bulk count string",
}


@case()
def malformed_requests(t):
    """Each gets Redis's error and its connection is closed; a neighbour notices nothing."""
    s = t.server()
    with s.client() as neighbour:
        neighbour.call("SET", "k", "v")
        for request, text in MALFORMED.items():
            with s.client() as c:
                c.send(encode("PING") + request)
                equal(c.read_to_end(), b"+PONG\r\n-ERR Protocol error: " + text.encode() + b"\r\n", repr(request[:20]))
            equal(neighbour.call("GET", "k"), b"v")
        with s.client() as c:  # gone in the middle of a request
            c.send(b"*2\r\n$3\r\nGET\r\n$10\r\nabc")
        equal(neighbour.call("GET", "k"), b"v")


@case()
def oversized_requests(t):
    s = t.server("--proto-max-bulk-len", "1mb", "--client-query-buffer-limit", "2mb")
    with s.client() as neighbour, s.client() as c:
        c.send(b"*1\r\n$1048577\r\n")
        equal(c.read_to_end(), b"-ERR Protocol error: invalid bulk length\r\n")
        with s.client() as c2:  # every argument is allowed, all together are not
            try:
                c2.send(b"*9\r\n" + (b"$1000000\r\n" + b"x" * 1_000_000 + b"\r\n") * 8)
            except OSError:
                pass
            c2.read_to_end()
        equal(neighbour.call("PING"), Simple("PONG"))


@case()
def error_texts(t):
    with t.server().client() as c:
        for request, text in {
            ("FOO", "a", "b"): "ERR unknown command 'FOO', with args beginning with: 'a' 'b' ",
            ("GET",): "ERR wrong number of arguments for 'get' command",
            ("GET", "a", "b"): "ERR wrong number of arguments for 'get' command",
            ("SET", "a", "b", "BOGUS"): "ERR syntax error",
            ("SET", "a", "b", "EX", "0"): "ERR invalid expire time in 'set' command",
            ("SET", "a", "b", "EX", "x"): "ERR value is not an integer or out of range",
            ("SELECT", "99"): "ERR DB index is out of range",
            ("CONFIG", "SET", "port", "1"): None,
            ("AUTH", "x"): None,
        }.items():
            reply = c.call(*request)
            assert isinstance(reply, Error), f"{request}: {reply!r} is no error"
            if text:
                equal(reply, Error(text), repr(request))
        c.call("SET", "text", "abc")
        equal(c.call("INCR", "text"), Error("ERR value is not an integer or out of range"))


@case()
def password(t):
    s = t.server("--requirepass", "open sesame")
    with s.client() as c:
        equal(c.call("GET", "k"), Error("NOAUTH Authentication required."))
        equal(c.call("AUTH", "wrong"), Error("WRONGPASS invalid username-password pair or user is disabled."))
        equal(c.call("AUTH", "open sesame"), Simple("OK"))
        c.call("SET", "k", "secret")
        for _ in range(50):  # long enough for the key to become hot
            equal(c.call("GET", "k"), b"secret")
        with s.client() as stranger:
            for _ in range(5):
                equal(stranger.call("GET", "k"), Error("NOAUTH Authentication required."))


def fails_to_start(t, *args, stdin=None):
    """The one line that the server prints, and that it ends with 1 at once."""
    done = subprocess.run([t.binary, *args], input=stdin, stdin=subprocess.DEVNULL if stdin is None else None,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=10)
    equal(done.returncode, 1, f"exit code of {args}")
    lines = done.stdout.splitlines()
    equal(len(lines), 1, f"lines in {done.stdout!r}")
    return lines[0]


@case()
def config_errors(t):
    conf = t.file("bad.conf", "# fine\nport 7000\n\nfoo bar\n")
    for args, text in {
        (conf,): f"{conf}:4: unknown directive 'foo'",
        (t.file("port.conf", "port x\n"),): "port.conf:1: port: invalid value 'x' (an integer from 0 to 65535)",
        (t.file("quote.conf", 'requirepass "x\n'),): "quote.conf:1: unbalanced quotes",
        ("/nope.conf",): "/nope.conf: No such file or directory",
        ("--port", "70000"): "command line: port: invalid value '70000' (an integer from 0 to 65535)",
        ("--foo", "1"): "command line: unknown directive 'foo'",
    }.items():
        line = fails_to_start(t, *args)
        assert line.endswith(text), f"{line!r} does not end with {text!r}"


@case()
def port_taken(t):
    s = t.server()
    line = fails_to_start(t, "--port", str(s.port))
    assert str(s.port) in line and "in use" in line, line
    equal(s.cli("PING"), "PONG\n")


@case()
def config_file_and_options(t):
    port = proc.free_port()
    conf = t.file("w.conf", f'port {port}\nmaxmemory 50mb\nrequirepass "a b"\nsave ""\nappendonly no\n')
    s = t.server(conf, "--timeout", "77", port=port)
    with s.client() as c:
        equal(c.call("AUTH", "a b"), Simple("OK"))
        equal(c.call("CONFIG", "GET", "maxmemory"), [b"maxmemory", b"52428800"])
        equal(c.call("CONFIG", "GET", "timeout"), [b"timeout", b"77"])
        equal(c.call("CONFIG", "SET", "timeout", "78"), Simple("OK"))
        equal(c.call("CONFIG", "GET", "timeout"), [b"timeout", b"78"])


@case()
def shutdown_command(t):
    s = t.server()
    with s.client() as c:
        c.send(encode("SHUTDOWN"))
        equal(c.read_to_end(), b"")
    equal(s.wait(), 0, "exit code after SHUTDOWN")


@case()
def without_rights(t):
    """Started as nobody it serves all the same, and says what it misses."""
    prefix = ()
    binary = t.binary
    if os.geteuid() == 0:
        prefix = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
        binary = shutil.copy(t.binary, f"{t.dir}/wirecache")  # the build may be where nobody cannot look
    s = t.server(binary=binary, prefix=prefix)
    with s.client() as c:
        c.call("SET", "k", "v")
        for _ in range(50):
            equal(c.call("GET", "k"), b"v")
        info = c.info("fastpath")
    equal(info.get("fastpath_state"), "unavailable")
    assert info.get("fastpath_reason"), "no reason is given"
    t.note = info["fastpath_reason"]
    said = [line for line in s.log_text().splitlines() if "fast path" in line or "fastpath" in line]
    equal(len(said), 1, f"log lines on the fast path: {said}")
