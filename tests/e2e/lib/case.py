"""A test case: a function marked with @case, which gets a Case with all that it may use."""
import contextlib
import glob
import os
import shutil
import tempfile

from . import net, proc

CASES = []  # (name, function, needs BPF, time limit)


class Skip(Exception):
    pass


def case(needs_bpf=False, timeout=60):
    """needs_bpf: skipped without rights to load BPF programs, which WC_REQUIRE_BPF=1 turns into a failure."""

    def mark(fn):
        name = f"{fn.__module__.removeprefix('test_')}.{fn.__name__}"
        CASES.append((name, fn, needs_bpf, timeout))
        return fn

    return mark


class Case:
    def __init__(self, build):
        self.build = build
        self.binary = os.path.abspath(f"{build}/wirecache")
        self.stack = contextlib.ExitStack()
        self.servers = 0
        self.note = ""  # shown on the case's line: a figure, say
        self.dir = tempfile.mkdtemp(prefix=net.PREFIX)
        os.chmod(self.dir, 0o755)  # for servers that run as another user

    def close(self):
        self.stack.close()

    def remove_files(self):
        shutil.rmtree(self.dir, ignore_errors=True)

    def server(self, *args, port=None, **kwargs):
        """Start a server on a port of its own. At the end of the case it is stopped, cleanly or the case fails."""
        port = port or proc.free_port()
        log = f"{self.dir}/server-{self.servers}.log"
        self.servers += 1
        kwargs.setdefault("binary", self.binary)
        server = proc.Server(args=[*args, "--port", port], log=log, port=port, **kwargs)
        self.stack.callback(server.end)
        return server

    def pair(self):
        return net.Pair(self.stack)

    def veth_server(self, pair, mode, *args, port=6379, v6=False):
        """A server in one namespace of a veth pair whose clients are in the other."""
        return self.server("--protected-mode", "no", "--fastpath", mode, "--fastpath-interfaces", pair.dev, *args,
                           port=port, host=pair.server6 if v6 else pair.server4, netns=pair.server,
                           client_netns=pair.client)

    def start(self, args, **kwargs):
        """A program in the background, killed at the end of the case if it still runs."""
        process = proc.start(args, **kwargs)

        def end():
            if process.poll() is None:
                process.kill()
            process.wait()

        self.stack.callback(end)
        return process

    def file(self, name, text):
        path = f"{self.dir}/{name}"
        with open(path, "w") as f:
            f.write(text)
        return path

    def logs(self):
        """The end of the logs of the last two servers."""
        return [(path, proc.tail(path)) for path in sorted(glob.glob(f"{self.dir}/server-*.log"))[-2:]]


def equal(actual, expected, what=""):
    if actual != expected:
        raise AssertionError(f"{what + ': ' if what else ''}{actual!r}, not {expected!r}")


def at_least(actual, least, what):
    if actual < least:
        raise AssertionError(f"{what}: {actual}, not at least {least}")
