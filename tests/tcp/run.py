#!/usr/bin/python3
"""Real TCP stacks under impairment: tests/tcp/run.py [options] [parameter=value ...]

Runs of a few seconds each, over combinations of the parameters (matrix.py), until the time is up. A run is an oracle
(oracle.c) with many connections in one namespace, a server in another, and between them a wire that loses, doubles,
reorders and delays (impair.c). Everything follows from the seed; parameters given are fixed.

A run that failed prints how to repeat it. WC_BUILD names the build directory. WC_REQUIRE_BPF=1 turns the skip for lack
of BPF rights into a failure.
"""
import argparse
import contextlib
import glob
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

import matrix  # noqa: E402
import wire  # noqa: E402
from lib import bpf, net, proc  # noqa: E402
from lib.case import Case, at_least  # noqa: E402

PORT = 6379
# Seconds without progress that a connection may take, by percent of loss. A lost SYN makes the first timeouts long.
STALL = {0.1: 20, 1: 40, 5: 90}


def e2e_runner():
    """tests/e2e/run.py, for its time limit and its clean-up."""
    spec = importlib.util.spec_from_file_location("e2e_run", os.path.join(HERE, "..", "e2e", "run.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Failure(Exception):
    pass


def words(params):
    return " ".join(f"{k}={v}" for k, v in params.items())


class Run:
    def __init__(self, case, seed, params, options):
        self.case, self.seed, self.params, self.options = case, seed, params, options
        self.lo = params["hook"] == "lo"
        self.v6 = params["ip"] == 6
        self.diagnosis = ""

    def set_up(self):
        p, t = self.params, self.case
        if self.lo:
            name = net.PREFIX + "server"
            wire.namespace(t.stack, name)
            net.run("ip", "-n", name, "link", "set", "lo", "mtu", str(65536 if p["mtu"] == 9000 else p["mtu"]))
            self.server_ns = self.client_ns = name
            self.dev, self.host = "lo", "::1" if self.v6 else "127.0.0.1"
        else:
            offload = {"gro": p["gro"], "gso": p["gso"], "tso": p["gso"], "tx": p["tx"]}
            self.wire = wire.Wire(t, p["mtu"], offload)
            self.server_ns, self.client_ns = self.wire.server, self.wire.client
            self.dev, self.host = self.wire.dev, self.wire.server6 if self.v6 else self.wire.server4
            if p["hook"] == "xdp":
                self.wire.xdp_pass()
        for netns in {self.server_ns, self.client_ns}:
            wire.sysctl(netns, tcp_timestamps=p["timestamps"], tcp_sack=p["sack"], tcp_congestion_control=p["cc"])

    def start_server(self, mode):
        hot_keys = 32 if self.seed % 3 == 0 else 4096  # few: keys come and go
        # Some connections are idle for more than 4 s, and the server's keepalives must be answered. Not in every run:
        # they also help out of a silence that should never have come about. And three of them may be lost when many
        # are.
        keepalive = 1 if self.params["loss"] <= 1 and self.seed % 2 else 300
        return self.case.server("--protected-mode", "no", "--fastpath", mode, "--fastpath-interfaces", self.dev,
                                "--fastpath-hot-keys", hot_keys, "--tcp-keepalive", keepalive,
                                port=PORT, host=self.host, netns=self.server_ns)

    def check_hook(self, server):
        with server.client() as c:
            info = c.info("fastpath")
        hook = "tc" if self.lo else self.params["hook"]
        if info["fastpath_state"] != "active" or f"{self.dev}:{hook}" not in info["fastpath_hooks"].split(","):
            raise Failure(f"fast path {info['fastpath_state']}, hooks {info.get('fastpath_hooks')}: "
                          f"{info.get('fastpath_reason', '')}")

    def capture(self):
        if not self.options.pcap:
            return
        for side, netns in (("client", self.client_ns), ("server", self.server_ns)):
            path = f"{self.options.pcap}/{self.seed}-{side}.pcap"
            self.case.start(["tcpdump", "-Z", "root", "-i", self.dev, "-s", "200", "-B", "65536", "-w", path, "tcp"],
                            netns=netns, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.5)

    def look(self, server, port):
        """The state of a connection that failed, as both stacks and the BPF maps have it."""
        def note(title, fn):
            try:
                self.diagnosis += f"--- {title}\n{fn().rstrip()}\n"
            except Exception as e:
                self.diagnosis += f"--- {title}: {e}\n"

        for side, netns in (("client", self.client_ns), ("server", self.server_ns)):
            note(f"ss, {side}", lambda netns=netns: proc.run(
                ["ss", "-tinoHOe", f"( sport = :{port} or dport = :{port} )"], netns, timeout=10))
        note("connection", lambda: self.connection(server, int(port)))
        note("INFO fastpath", lambda: server.cli("INFO", "fastpath"))

    def connection(self, server, port):
        """The entry of conns with this client port. The server's pins cannot be seen from here, its descriptors can."""
        ids = {}
        for path in glob.glob(f"/proc/{server.pid}/fdinfo/*"):
            with open(path) as f:
                numbers = [line.split()[1] for line in f if line.startswith("map_id:")]
            for number in numbers:
                ids[json.loads(bpf.bpftool("-j", "map", "show", "id", number)).get("name")] = number
        big_endian = (port & 255) << 8 | port >> 8
        out = ""
        for entry in json.loads(bpf.bpftool("-j", "map", "dump", "id", str(ids["conns"]))):
            entry = entry.get("formatted", entry)
            if entry["key"]["client_port"] == big_endian:
                out += json.dumps(entry["value"]["tcp"]) + "\n"
                number = entry["value"]["number"]
                ctl = bpf.bpftool("-j", "map", "lookup", "id", str(ids["conn_ctl"]), "key",
                                  *(str(b) for b in number.to_bytes(4, "little")))
                out += json.dumps(json.loads(ctl).get("formatted", ctl)) + "\n"
        return out or "no entry"

    def oracle(self, server, seconds):
        stall = self.options.stall or (10 if self.lo else STALL.get(self.params["loss"], 90))
        oracle = self.case.start([f"{self.case.build}/tests/oracle", self.host, PORT, seconds, self.seed,
                                  self.options.connections, stall],
                                 netns=self.client_ns, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = oracle.stdout.readline()
        if not line.startswith("seconds="):
            port = line.partition("port=")[2].split(" ")[0]
            if port.isdigit():
                self.look(server, port)
            rest, _ = oracle.communicate("go on\n", timeout=30)
            raise Failure(line + rest)
        oracle.wait(10)
        return {k: float(v) for k, v in (word.split("=") for word in line.split())}

    def measure(self, mode, seconds):
        """One server and one oracle; what they did."""
        server = self.start_server(mode)
        if mode != "off":
            self.check_hook(server)
        if not self.lo:
            self.wire.impair(self.seed, f"loss={self.params['loss']}{matrix.WIRES[self.params['wire']]}")
        namespaces = {self.server_ns, self.client_ns}
        if self.params["ports"] == "few":
            wire.sysctl(self.client_ns, ip_local_port_range="30000 30999")
        before = [wire.tcp_counters(n) for n in namespaces]
        result = self.oracle(server, seconds)
        after = [wire.tcp_counters(n) for n in namespaces]
        if self.params["ports"] == "few":  # all of them may be taken now
            wire.sysctl(self.client_ns, ip_local_port_range="32768 60999")
        result["retransmits"] = sum(a["RetransSegs"] - b["RetransSegs"] for a, b in zip(after, before))
        result["wire"] = {} if self.lo else self.wire.end()
        with server.client() as c:
            info = c.info("fastpath")
        for name in ("hits", "hits_xdp", "replays", "dropped_spanning", "pass_checksum"):
            result[name] = int(info.get(f"fastpath_{name}", 0))
        server.stop()
        return result

    def main(self, compare):
        self.set_up()
        self.capture()
        seconds = self.options.run_seconds
        on = self.measure("off" if self.options.off else "tc" if self.lo else self.params["hook"], seconds)
        on["off"] = self.measure("off", seconds) if compare else None
        if not self.options.off:
            # Loss makes a connection wait, so the share of hits says little; that there are many does.
            at_least(on["hits"], 20 * seconds, "hits in the kernel")
            if self.params["hook"] == "xdp":
                at_least(on["hits_xdp"], 5 * seconds, "hits by XDP")
        return on


def one_run(e2e, build, seed, params, options, compare):
    """Returns (result, problem or '')."""
    case = Case(build)
    run, result, problem = Run(case, seed, params, options), None, ""
    limit = (options.run_seconds + 120) * (2 if compare else 1) + 30
    try:
        with e2e.time_limit(limit):
            result = run.main(compare)
    except Failure as e:
        problem = str(e) + run.diagnosis
    except Exception as e:
        problem = e2e.reason(e)
    finally:
        with contextlib.suppress(subprocess.TimeoutExpired):
            try:
                with e2e.time_limit(30):
                    case.close()
            except Exception as e:
                problem = problem or f"at the end: {e2e.reason(e)}"
        if problem:
            for path, lines in case.logs():
                problem += f"\n--- {os.path.basename(path)}\n" + "\n".join(lines)
        case.remove_files()
    return result, problem


def show(result):
    w = result["wire"]
    rate = result["ops"] / result["seconds"]
    text = (f"{result['ops']:.0f} operations, {rate:.0f}/s, {result['hits']} in the kernel ({result['hits_xdp']} XDP), "
            f"{result['replays']} replays, {result['retransmits']} retransmits, {result['connects']:.0f} connections, "
            f"longest wait {result['longest_ms'] / 1000:.1f} s, wrong bytes 0, stuck 0")
    if w:
        text += f"; wire: {w['frames']} frames, {w['lost']} lost" + "".join(
            f", {w[k]} {k}" for k in ("doubled", "reordered", "delayed", "corrupted", "overflow", "refused") if w[k])
    if result["off"]:
        off = result["off"]["ops"] / result["off"]["seconds"]
        text += (f"; fast path off: {off:.0f}/s ({rate / off:.2f} times that), {result['off']['retransmits']} "
                 f"retransmits, longest wait {result['off']['longest_ms'] / 1000:.1f} s")
    return text


def read_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=80, help="time for all runs (80)")
    parser.add_argument("--run-seconds", type=int, default=5, help="time for one run (5)")
    parser.add_argument("--seed", type=lambda s: int(s, 0), default=1, help="of the combinations (1)")
    parser.add_argument("--run", type=lambda s: int(s, 0), help="one run with this seed; give its parameters too")
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--stall", type=int, help="seconds without progress that fail (20 to 90, by the loss)")
    parser.add_argument("--compare", type=int, default=4, metavar="N",
                        help="every Nth run again with the fast path off (4)")
    parser.add_argument("--off", action="store_true", help="fast path off in all runs: the test of the test")
    parser.add_argument("--pcap", metavar="DIR", help="record both sides")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first failure")
    parser.add_argument("fixed", nargs="*", metavar="parameter=value", help="hook, ip, loss ...: see matrix.py")
    options = parser.parse_args()
    fixed = {}
    for word in options.fixed:
        name, _, value = word.partition("=")
        if name not in matrix.VALUES:
            parser.error(f"no parameter {name}")
        fixed[name] = {str(v): v for v in matrix.VALUES[name]}.get(value)
        if fixed[name] is None:
            try:
                fixed[name] = float(value)
            except ValueError:
                parser.error(f"{name} is one of {matrix.VALUES[name]}")
    options.fixed = fixed
    return options


def main():
    options = read_options()
    e2e = e2e_runner()
    os.chdir(os.path.join(HERE, "..", ".."))
    build = os.path.abspath(os.environ.get("WC_BUILD", "build"))
    missing = None if options.off and os.geteuid() == 0 else bpf.missing(build)
    if missing:
        strict = os.environ.get("WC_REQUIRE_BPF") == "1"
        print(f"{'FAIL' if strict else 'skip'}  tests of TCP under impairment: {missing}")
        sys.exit(1 if strict else 0)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that clean-up runs
    e2e.remove_leftovers()

    runs = matrix.combinations(options.seed, options.fixed)
    if options.run is not None:
        runs = [(options.run, next(runs)[1])]
    begun, done, failed = time.monotonic(), 0, 0
    totals = {}
    for seed, params in runs:
        compare = bool(options.compare) and done % options.compare == 0 and options.run is None and not options.off
        need = (options.run_seconds + 2) * (2 if compare else 1)
        if done and time.monotonic() - begun + need > options.seconds:
            break
        result, problem = one_run(e2e, build, seed, params, options, compare)
        done += 1
        print(f"{'FAIL' if problem else 'ok':4}  seed {seed:10}  {words(params)}", flush=True)
        if problem:
            failed += 1
            print("      " + problem.replace("\n", "\n      "))
            print(f"      again: WC_BUILD={build} tests/tcp/run.py --run {seed} --run-seconds {options.run_seconds} "
                  f"--connections {options.connections} {words(params)}", flush=True)
            if not options.keep_going:
                break
            continue
        print(f"      {show(result)}", flush=True)
        for name in ("ops", "hits", "replays", "retransmits", "connects"):
            totals[name] = totals.get(name, 0) + int(result[name])
    seconds = time.monotonic() - begun
    print(f"TCP under impairment: {done} runs in {seconds:.0f} s (seed {options.seed}), {failed} failed; "
          + ", ".join(f"{v} {k}" for k, v in totals.items()))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
