"""What the tests need to know of BPF on this host."""
import functools
import json
import os
import shutil
import subprocess

BPFTOOL = shutil.which("bpftool", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") or "bpftool"


def bpftool(*args):
    done = subprocess.run([BPFTOOL, *args], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"bpftool {' '.join(args)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


@functools.cache
def missing(build):
    """Why BPF tests cannot run here, or None. Found out by loading a program."""
    if os.geteuid():
        return "not root"
    obj = f"{build}/tests/xdp_pass.bpf.o"
    if not os.path.exists(obj):
        return "built without the fast path"
    pin = f"/sys/fs/bpf/wct-{os.getpid()}-probe"
    try:
        bpftool("prog", "load", obj, pin, "type", "xdp")
    except (RuntimeError, FileNotFoundError) as e:
        return f"no BPF rights: {str(e).splitlines()[-1]}"
    os.unlink(pin)
    return None


def attached():
    """Ids of the links and of the programs on network interfaces that there are on this host."""
    links = {("link", link["id"]) for link in json.loads(bpftool("-j", "link", "show") or "[]")}
    hooks = json.loads(bpftool("-j", "net", "show") or "[]")
    programs = set()
    for table in hooks:
        for kind in ("xdp", "tc"):
            for hook in table.get(kind, []):
                programs.add((kind, hook.get("devname"), hook.get("id", hook.get("prog_id"))))
    return links | programs
