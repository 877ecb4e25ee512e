#!/usr/bin/env bash
# Set up, build, and start the server on port 6379: tools/run.sh [config-file] [--directive value ...]
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

"$root/tools/setup.sh" build
make -C "$root" --no-print-directory -j"$(nproc)" all
exec "$root/build/wirecache" "$@"
