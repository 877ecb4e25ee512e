#!/usr/bin/python3
"""Runs the end-to-end tests: tests/e2e/run.py [name ...]

A name is a file's (basics), a case's (basics.splits) or the beginning of either. WC_BUILD names the build directory.
WC_REQUIRE_BPF=1 turns skips for lack of BPF rights into failures.
"""
import contextlib
import glob
import importlib
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

from lib import bpf, net  # noqa: E402
from lib.case import CASES, Case, Skip  # noqa: E402


class Timeout(Exception):
    pass


@contextlib.contextmanager
def time_limit(seconds):
    def on_alarm(*_):
        raise Timeout(f"not done after {seconds} s")

    signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def reason(error):
    """What to show of an exception: its text, and where in the test it was."""
    where = [f for f in traceback.extract_tb(error.__traceback__) if "/test_" in f.filename]
    place = f" ({os.path.basename(where[-1].filename)}:{where[-1].lineno})" if where else ""
    kind = "" if isinstance(error, (AssertionError, Timeout)) else f"{type(error).__name__}: "
    return f"{kind}{error}{place}"


def run_case(fn, build, timeout):
    """Returns (problem or '', skip reason or '', note, [(log file, last lines)])."""
    case = Case(build)
    problem = skipped = ""
    try:
        with time_limit(timeout):
            fn(case)
    except Skip as e:
        skipped = str(e)
    except Exception as e:
        problem = reason(e)
    finally:
        try:
            with time_limit(30):
                case.close()
        except Exception as e:
            problem = problem or f"at the end: {reason(e)}"
        logs = case.logs() if problem else []
        case.remove_files()
    return problem, skipped, case.note, logs


def remove_leftovers():
    if os.geteuid() == 0:
        net.remove_leftovers()
    for path in glob.glob(f"{tempfile.gettempdir()}/wct-*-*"):
        owner = re.match(r"wct-(\d+)-", os.path.basename(path))
        if owner and not net.alive(owner.group(1)):
            shutil.rmtree(path, ignore_errors=True)


def main():
    os.chdir(os.path.join(HERE, "..", ".."))
    build = os.environ.get("WC_BUILD", "build")
    strict = os.environ.get("WC_REQUIRE_BPF") == "1"
    for path in sorted(glob.glob(f"{HERE}/test_*.py")):
        importlib.import_module(os.path.basename(path)[:-3])
    wanted = sys.argv[1:]
    cases = [c for c in CASES if not wanted or any(c[0].startswith(w) for w in wanted)]
    if not cases:
        sys.exit(f"no test case named {' '.join(wanted)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that clean-up runs
    remove_leftovers()

    passed = failed = skips = 0
    begun = time.monotonic()
    for name, fn, needs_bpf, timeout in cases:
        start, logs, note = time.monotonic(), [], ""
        problem, skipped = "", bpf.missing(build) if needs_bpf else ""
        if not skipped:
            problem, skipped, note, logs = run_case(fn, build, timeout)
        if skipped and needs_bpf and strict:
            problem, skipped = f"skipped ({skipped}), and WC_REQUIRE_BPF=1", ""
        word = "FAIL" if problem else "skip" if skipped else "ok"
        print(f"{word:4}  {name:40} {time.monotonic() - start:6.2f} s  {skipped or note}".rstrip(), flush=True)
        if problem:
            print("      " + problem.replace("\n", "\n      "))
            for path, lines in logs:
                print(f"      {os.path.basename(path)}:\n" + "".join(f"        {line}\n" for line in lines), end="")
        passed, failed, skips = passed + (word == "ok"), failed + (word == "FAIL"), skips + (word == "skip")
    print(f"end-to-end tests: {time.monotonic() - begun:.1f} s")
    print(f"{passed} passed, {failed} failed, {skips} skipped")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
