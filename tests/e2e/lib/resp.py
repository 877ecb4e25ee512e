"""A RESP2/RESP3 client on a plain socket, which hides nothing: raw bytes in and out are at hand."""
import socket
import time

from . import net


class Error(str):
    """An error reply; returned, not raised, as tests compare them like any other."""


class Simple(str):
    """A simple string, so that +OK and $2 OK differ."""


def encode(*args):
    parts = [b"*%d\r\n" % len(args)]
    for arg in args:
        data = arg if isinstance(arg, bytes) else str(arg).encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
    return b"".join(parts)


class Client:
    def __init__(self, port, host="127.0.0.1", netns=None, timeout=5.0):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with net.inside(netns):  # a socket stays in the namespace that it was made in
            self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.settimeout(timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.sock.connect((host, port))
        except BaseException:
            self.sock.close()
            raise
        self.buf = b""
        self.raw = b""  # the last reply's bytes

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.sock.sendall(data)

    def _fill(self):
        data = self.sock.recv(65536)
        if not data:
            raise EOFError("connection closed by the server")
        self.buf += data

    def _take(self, n):
        while len(self.buf) < n:
            self._fill()
        data, self.buf = self.buf[:n], self.buf[n:]
        self.raw += data
        return data

    def _line(self):
        while (end := self.buf.find(b"\r\n")) < 0:
            self._fill()
        return self._take(end + 2)[:-2]

    def _value(self):
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return Simple(rest.decode())
        if kind == b"-":
            return Error(rest.decode())
        if kind == b":":
            return int(rest)
        if kind in (b"$", b"="):
            return None if rest == b"-1" else self._take(int(rest) + 2)[:-2]
        if kind in (b"*", b"~", b">"):
            return None if rest == b"-1" else [self._value() for _ in range(int(rest))]
        if kind == b"%":
            return {self._value(): self._value() for _ in range(int(rest))}
        if kind == b"_":
            return None
        if kind == b"#":
            return rest == b"t"
        if kind == b",":
            return float(rest)
        raise AssertionError(f"not RESP: {line!r}")

    def read(self):
        """The next reply."""
        self.raw = b""
        return self._value()

    def call(self, *args):
        self.send(encode(*args))
        return self.read()

    def read_to_end(self):
        """Everything up to the server's closing, which an RST after it may cut short."""
        data, self.buf = self.buf, b""
        try:
            while chunk := self.sock.recv(65536):
                data += chunk
        except ConnectionResetError:
            pass
        return data

    def info(self, section=""):
        text = self.call("INFO", *([section] if section else []))
        pairs = (line.split(":", 1) for line in text.decode().splitlines() if ":" in line)
        return dict(pairs)

    def fastpath_hits(self):
        return int(self.info("fastpath").get("fastpath_hits", 0))

    def make_hot(self, key, seconds=5.0):
        """GET key until the kernel answers it; False when that does not happen."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            before = self.fastpath_hits()
            for _ in range(20):
                self.call("GET", key)
            if self.fastpath_hits() - before >= 10:
                return True
        return False
