#!/usr/bin/env bash
# Installs what is missing, on Debian 12 or 13: tools/setup.sh build|check|lint
# Costs one dpkg-query when nothing is.
set -euo pipefail

build=(gcc libc6-dev make clang llvm bpftool linux-libc-dev libbpf-dev libxdp-dev libelf-dev zlib1g-dev
    libjemalloc-dev liburing-dev)
check=("${build[@]}" libcmocka-dev redis-tools python3 iproute2 nftables ethtool procps util-linux)
lint=("${check[@]}" clang-format clang-tidy cppcheck shellcheck)

case "${1:-build}" in
build) wanted=("${build[@]}") ;;
check) wanted=("${check[@]}") ;;
lint) wanted=("${lint[@]}") ;;
*)
    echo "usage: tools/setup.sh build|check|lint" >&2
    exit 2
    ;;
esac

if ! command -v dpkg-query >/dev/null; then
    echo "setup: not a Debian system; install the equivalents of: ${wanted[*]}" >&2
    exit 1
fi

# dpkg-query fails for a name that dpkg has never heard of, and still lists the others.
installed=$(dpkg-query -W -f '${binary:Package} ${db:Status-Status}\n' "${wanted[@]}" 2>/dev/null || true)
missing=()
for package in "${wanted[@]}"; do
    grep -qE "^$package(:[a-z0-9]+)? installed$" <<<"$installed" || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ]; then
    echo "setup: as root: apt-get install ${missing[*]}" >&2
    exit 1
fi
echo "setup: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
