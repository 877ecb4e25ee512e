"""What is varied from run to run, and which combinations are run."""
import itertools
import random


def congestion_controls():
    """A namespace may choose among those that the host allows."""
    with open("/proc/sys/net/ipv4/tcp_allowed_congestion_control") as f:
        return tuple(f.read().split())


VALUES = {
    "hook": ("xdp", "tc", "lo"),
    "ip": (4, 6),
    "loss": (0.1, 1, 5),           # percent, each way
    "mtu": (1280, 1500, 9000),     # lo: 65536 for 9000
    "timestamps": (1, 0),
    "sack": (1, 0),
    "gro": ("on", "off"),
    "gso": ("on", "off"),          # and tso
    "tx": ("on", "off"),           # checksums left to the device
    "wire": ("plain", "dup", "reorder", "late", "all", "corrupt"),
    "cc": congestion_controls(),
    "ports": ("many", "few"),      # few: address pairs come back soon
}

WIRES = {
    "plain": "",
    "dup": ",dup=2",
    "reorder": ",reorder=2,dup=0.2",
    "late": ",delay=300,jitter=2",
    "all": ",delay=100,dup=1,reorder=1,jitter=1",
    "corrupt": ",corrupt=1,reorder=0.5",
}


def possible(params):
    """Not every combination exists."""
    if params["hook"] == "xdp" and params["mtu"] > 3000:
        return False  # a native XDP program without fragments needs frames that fit a page
    # Only a checksum computed by the sender can show corruption.
    return params["wire"] != "corrupt" or params["tx"] == "off"


def pairs(params):
    """What a run covers. Loopback has no wire."""
    of_wire = ("loss", "gro", "gso", "tx", "wire")
    used = [(k, v) for k, v in params.items() if params["hook"] != "lo" or k not in of_wire]
    return set(itertools.combinations(used, 2))


def choose(rng, fixed, covered):
    """Of some random combinations, the one that covers most that is new."""
    best, best_new = None, -1
    for _ in range(60):
        while True:
            params = {name: fixed.get(name, rng.choice(values)) for name, values in VALUES.items()}
            if possible(params):
                break
        new = len(pairs(params) - covered)
        if new > best_new:
            best, best_new = params, new
    covered |= pairs(best)
    return best


def combinations(seed, fixed):
    """(seed of the run, parameters), without end. The hooks take turns, loopback less often."""
    rng = random.Random(seed)
    if not any(possible(fixed_params(fixed, v)) for v in itertools.product(*VALUES.values())):
        raise ValueError("no such combination is possible")
    covered = set()
    for hook in itertools.cycle(("xdp", "tc", "xdp", "tc", "lo")):
        yield rng.getrandbits(32), choose(rng, {"hook": hook} | fixed, covered)


def fixed_params(fixed, values):
    return dict(zip(VALUES, values)) | fixed
