"""Processes that a test starts: the server, redis-cli, redis-benchmark. They never outlive the test run."""
import ctypes
import os
import signal
import socket
import subprocess
import time

from .resp import Client

PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None)


def die_with_parent():
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def in_namespace(netns, args):
    return ["ip", "netns", "exec", netns, *args] if netns else list(args)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(args, netns=None, **kwargs):
    return subprocess.Popen(in_namespace(netns, [str(a) for a in args]), preexec_fn=die_with_parent, **kwargs)


def run(args, netns=None, timeout=60, check=True, **kwargs):
    """Run a program to its end and return its standard output."""
    args = in_namespace(netns, [str(a) for a in args])
    done = subprocess.run(args, capture_output=True, text=True, timeout=timeout, preexec_fn=die_with_parent, **kwargs)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(args)}: exit {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


class Server:
    """build/wirecache, ready to serve when the constructor returns."""

    def __init__(self, binary, args, log, port, host="127.0.0.1", netns=None, client_netns=None, prefix=()):
        self.port, self.host, self.netns, self.client_netns = port, host, netns, client_netns or netns
        self.log = log
        argv = [*prefix, binary, *args]
        with open(log, "ab") as out:
            self.proc = start(argv, netns, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        self.pid = self.proc.pid
        try:
            self._wait_ready()
        except BaseException:
            self.kill()
            raise

    def _wait_ready(self):
        end = time.monotonic() + 15
        while True:
            if self.proc.poll() is not None:
                raise AssertionError(f"the server ended at once, exit {self.proc.returncode}")
            try:
                with self.client(timeout=2) as c:
                    c.call("PING")
                    return
            except (OSError, EOFError):
                if time.monotonic() > end:
                    raise AssertionError("the server does not answer PING") from None
                time.sleep(0.02)

    def client(self, host=None, **kwargs):
        return Client(self.port, host or self.host, netns=self.client_netns, **kwargs)

    def cli(self, *args, check=True):
        return run(["redis-cli", "-h", self.host, "-p", self.port, *args], self.client_netns, check=check)

    def benchmark(self, *args, timeout=120):
        """Requests per second by test name."""
        out = run(["redis-benchmark", "-h", self.host, "-p", self.port, "--csv", *args], self.client_netns, timeout)
        rows = [line.split(",") for line in out.splitlines() if line.startswith('"')]
        return {row[0].strip('"'): float(row[1].strip('"')) for row in rows if row[0] != '"test"'}

    def log_text(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    def wait(self, seconds=10):
        return self.proc.wait(seconds)

    def stop(self):
        """A clean stop, which must be one."""
        if self.proc.poll() is None:
            self.proc.send_signal(signal.SIGTERM)
        try:
            code = self.wait()
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("the server did not stop within 10 s of SIGTERM") from None
        if code:
            raise AssertionError(f"the server stopped with exit {code}")

    def end(self):
        """At the end of a case: one that is still running must stop cleanly, one that was stopped is left alone."""
        if self.proc.poll() is None:
            self.stop()

    def kill(self):
        if self.proc.poll() is None:
            self.proc.kill()
        self.proc.wait()


def tail(path, lines=15):
    if not os.path.exists(path):
        return []
    with open(path, errors="replace") as f:
        return f.read().splitlines()[-lines:]
