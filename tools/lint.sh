#!/usr/bin/env bash
# Called by `make lint` with the compiler's flags. Made for the versions of Debian 12: others format differently.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/setup.sh lint

mapfile -t formatted < <(find user include bpf tests -name '*.[ch]' | sort)
mapfile -t scripts < <(grep -rlE '^#!.*bash' tools tests .ci | sort)

echo "clang-format"
clang-format --dry-run -Werror "${formatted[@]}"
echo "clang-tidy"
find user -name '*.c' -print0 | sort -z |
    xargs -0 -P "$(nproc)" -I{} clang-tidy --quiet --warnings-as-errors='*' {} -- "$@"
echo "cppcheck"
cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
    -Iinclude -Iuser user
echo "shellcheck"
shellcheck "${scripts[@]}"
