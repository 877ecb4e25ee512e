#!/usr/bin/env bash
# Called by `make lint` with the compiler's flags. Made for the versions of Debian 12: others format differently.
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
# In code that bpftool generated it sees leaks where ownership passes to libbpf, and reports them with the file that
# includes it. (Its count of warnings in system headers goes to standard error.)
tidy() {
    local checks=$1
    shift
    xargs -r -P "$(nproc)" -I{} clang-tidy --quiet --warnings-as-errors='*' --checks="$checks" {} -- "$@" 2>/dev/null ||
        failed+=(clang-tidy)
}
tidy '' "$@" < <(grep -rL --include='*.c' 'skel\.h"' user | sort)
tidy '-clang-analyzer-unix.Malloc' "$@" < <(grep -rl --include='*.c' 'skel\.h"' user | sort)
echo "cppcheck"
cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
    --library=tools/cppcheck.cfg -Iinclude -Iuser user || failed+=(cppcheck)
echo "shellcheck"
shellcheck "${scripts[@]}" || failed+=(shellcheck)

if [ ${#failed[@]} -gt 0 ]; then
    echo "lint: ${failed[*]} found something" >&2
    exit 1
fi
