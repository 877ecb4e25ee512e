#!/usr/bin/python3
"""Speed on loopback, everything in one run and interleaved: wirecache with the fast path on and off, and redis-server
and valkey-server where tools are found (PATH, or /opt/peers as ../shared/peers/install.sh lays them out).

    bench/run.py [--rounds N] [--seconds S] [--json FILE]

Prints one table of medians: round trips of one plain blocking connection (build/bench/pingpong), redis-benchmark with
50 connections without and with pipelines of 16, and the server's CPU time per operation. The client of redis-benchmark
is often the limit; server CPU per operation says more then.
"""
import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(ROOT, os.environ.get("WC_BUILD", "build"))
PEERS = os.environ.get("PEERS_ROOT", "/opt/peers")
TICK = os.sysconf("SC_CLK_TCK")
KEY, VALUE = "key:__rand_int__", "xxx"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def peer_command(kind):
    """The command that starts redis or valkey on a port, or None."""
    plain = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no"]
    inside = f"/usr/bin/{kind}-server"
    if os.access(PEERS + inside, os.X_OK):
        return ["chroot", PEERS, inside] + plain
    found = shutil.which(f"{kind}-server")
    return [found] + plain if found else None


def variants():
    own = [os.path.join(BUILD, "wirecache"), "--bind", "127.0.0.1"]
    all_ = {"wirecache": own, "wirecache, fast path off": own + ["--fastpath", "off"]}
    for kind in ("redis", "valkey"):
        command = peer_command(kind)
        if command:
            all_[kind + "-server"] = command
    return all_


class Server:
    def __init__(self, command):
        self.port = free_port()
        self.process = subprocess.Popen(command + ["--port", str(self.port)], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        for _ in range(100):
            time.sleep(0.1)
            try:
                self.ask("SET", KEY, VALUE)
                return
            except OSError:
                if self.process.poll() is not None:
                    break
        self.stop()
        sys.exit(f"{command[0]} did not start")

    def ask(self, *words):
        with socket.create_connection(("127.0.0.1", self.port), 5) as s:
            parts = [f"*{len(words)}\r\n"] + [f"${len(w)}\r\n{w}\r\n" for w in words]
            s.sendall("".join(parts).encode())
            return s.recv(65536).decode(errors="replace")

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def pingpong(server, seconds):
    out = subprocess.run([os.path.join(BUILD, "bench/pingpong"), "127.0.0.1", str(server.port), KEY, str(seconds)],
                         capture_output=True, text=True, check=True, timeout=seconds + 30)
    got = json.loads(out.stdout)
    return {"1 conn GET/s": got["rps"], "1 conn p50 us": got["p50_us"], "1 conn p99 us": got["p99_us"]}


def benchmark(server, test, pipeline, requests):
    before = server.cpu_seconds()
    out = subprocess.run(["redis-benchmark", "-p", str(server.port), "-t", test, "-n", str(requests), "-c", "50", "-P",
                          str(pipeline), "--csv"], capture_output=True, text=True, check=True, timeout=120)
    cpu = server.cpu_seconds() - before
    fields = [f.strip('"') for f in out.stdout.strip().splitlines()[-1].split(",")]
    name = f"{test.upper()} P={pipeline}"
    return {f"{name} /s": float(fields[1]), f"{name} p50 ms": float(fields[4]), f"{name} p99 ms": float(fields[6]),
            f"{name} CPU us": cpu / requests * 1e6}


def measure(command, seconds):
    server = Server(command)
    try:
        row = pingpong(server, seconds)
        scale = max(1, int(seconds * 50_000))
        for pipeline, requests in ((1, scale), (16, 4 * scale)):
            for test in ("get", "set"):
                row.update(benchmark(server, test, pipeline, requests))
        return row
    finally:
        server.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2, help="length of one measurement, about")
    parser.add_argument("--json", default=os.path.join(BUILD, "bench.json"))
    args = parser.parse_args()
    rows = {name: [] for name in variants()}
    for _ in range(args.rounds):
        for name, command in variants().items():
            rows[name].append(measure(command, args.seconds))
    medians = {name: {k: statistics.median(r[k] for r in runs) for k in runs[0]} for name, runs in rows.items()}
    with open(args.json, "w") as f:
        json.dump({"rounds": rows, "medians": medians, "cores": os.cpu_count(), "kernel": os.uname().release}, f,
                  indent=1)
    columns = list(medians)
    print("| loopback, medians of %d | " % args.rounds + " | ".join(columns) + " |")
    print("|---|" + "---:|" * len(columns))
    for key in medians[columns[0]]:
        digits = 0 if key.endswith("/s") else 2 if "ms" in key or "CPU" in key else 1
        print(f"| {key} | " + " | ".join(f"{medians[c][key]:,.{digits}f}" for c in columns) + " |")
    on, off = (medians[c]["1 conn GET/s"] for c in columns[:2])
    print(f"\nOne connection: {on / off:.1f} times the throughput with the fast path.")


if __name__ == "__main__":
    main()
