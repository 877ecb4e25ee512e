"""Network namespaces. Their names carry the pid of the test run, so that what a dead run left can be told."""
import contextlib
import ctypes
import os
import re
import subprocess

PREFIX = f"wct-{os.getpid()}-"
CLONE_NEWNET = 0x40000000

libc = ctypes.CDLL(None, use_errno=True)


def run(*args):
    done = subprocess.run(args, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(args)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _setns(fd):
    if libc.setns(fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


@contextlib.contextmanager
def inside(name):
    """This thread is in the namespace for the length of a with block; None: where it is."""
    if name is None:
        yield
        return
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    there = os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _setns(there)
        try:
            yield
        finally:
            _setns(home)
    finally:
        os.close(there)
        os.close(home)


def alive(pid):
    return os.path.exists(f"/proc/{pid}")


def remove_leftovers():
    """Namespaces of runs whose process is gone. What was in them, veth pairs included, goes with them."""
    for line in run("ip", "netns", "list").splitlines():
        name = line.split()[0]
        owner = re.match(r"wct-(\d+)-", name)
        if owner and not alive(owner.group(1)):
            run("ip", "netns", "delete", name)


class Pair:
    """A server's and a client's namespace, joined by a veth pair."""

    server, client = PREFIX + "server", PREFIX + "client"
    dev = "veth-wct"  # the same name at both ends
    server4, client4 = "10.199.0.1", "10.199.0.2"
    server6, client6 = "fd00:199::1", "fd00:199::2"

    def __init__(self, stack):
        for name in (self.server, self.client):
            run("ip", "netns", "add", name)
            stack.callback(run, "ip", "netns", "delete", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "link", "add", self.dev, "netns", self.server, "type", "veth",
            "peer", "name", self.dev, "netns", self.client)
        for name, v4, v6 in ((self.server, self.server4, self.server6), (self.client, self.client4, self.client6)):
            run("ip", "-n", name, "addr", "add", f"{v4}/24", "dev", self.dev)
            run("ip", "-n", name, "addr", "add", f"{v6}/64", "dev", self.dev, "nodad")
            run("ip", "-n", name, "link", "set", self.dev, "up")

    def client_xdp_pass(self, build):
        """Frames sent by XDP_TX reach a veth end only when it has an XDP program of its own."""
        run("ip", "-n", self.client, "link", "set", "dev", self.dev, "xdpdrv",
            "obj", f"{build}/tests/xdp_pass.bpf.o", "sec", "xdp")
