#!/usr/bin/env bash
# Called by `make lint` with the compiler's flags, generated headers marked as not ours. Made for the versions of Debian 12: others format differently.
# Runs every tool, then fails if any did.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/setup.sh lint
failed=()

mapfile -t formatted < <(find user include bpf tests -name '*.[ch]' | sort)
mapfile -t scripts < <(grep -rlE '^#!.*bash' tools tests .ci | sort)

echo "clang-format"
clang-format --dry-run -Werror "${formatted[@]}" || failed+=(clang-format)
echo "clang-tidy"
# Its count of warnings in system headers goes to standard error.
find user -name '*.c' -print0 | sort -z |
    xargs -0 -P "$(nproc)" -I{} clang-tidy --quiet --warnings-as-errors='*' {} -- "$@" 2>/dev/null ||
    failed+=(clang-tidy)
echo "cppcheck"
# It sees no system headers, so it has to be told that this libbpf macro declares a variable.
cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
    '-DLIBBPF_OPTS(type,name,...)=struct type name' -DWC_FASTPATH=1 -Iinclude -Iuser user || failed+=(cppcheck)
echo "shellcheck"
shellcheck "${scripts[@]}" || failed+=(shellcheck)

if [ ${#failed[@]} -gt 0 ]; then
    echo "lint: ${failed[*]} found something" >&2
    exit 1
fi
