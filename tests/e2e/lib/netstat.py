"""The TCP stack's own counters in a namespace."""
from . import net


def read(netns):
    """{"Tcp.RetransSegs": n, "TcpExt.TCPTimeouts": n, ...}"""
    text = net.run("ip", "netns", "exec", netns, "cat", "/proc/net/netstat", "/proc/net/snmp")
    counters, lines = {}, iter(text.splitlines())
    for names, values in zip(lines, lines):
        kind = names.split(":")[0]
        counters |= {f"{kind}.{n}": int(v) for n, v in zip(names.split()[1:], values.split()[1:])}
    return counters


def grown(before, after):
    return {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name, 0)}
