#!/usr/bin/env bash
# Set up, build, and pass all tests. Without rights to load BPF programs the tests that need them are skipped, and
# say so; WC_REQUIRE_BPF=1 makes such a skip a failure.
set -euo pipefail
cd "$(dirname "$0")/.."
make=(make --no-print-directory -j"$(nproc)")

tools/setup.sh check
"${make[@]}" all tests
# Without the kernel half, and with sanitizers, in one go: nothing of libbpf may be needed here.
"${make[@]}" FASTPATH=0 SANITIZE=address,undefined BUILD=build/nofp all tests
"${make[@]}" FASTPATH=0 SANITIZE=address,undefined BUILD=build/nofp check-unit
"${make[@]}" FASTPATH=0 SANITIZE=address,undefined BUILD=build/nofp T=basics check-e2e
"${make[@]}" check
# Real TCP stacks under loss (the parts of check-tcp that `check` has not run).
WC_BUILD=build /usr/bin/python3 tests/tcp/run.py --seconds 75
