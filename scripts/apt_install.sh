#!/usr/bin/env bash
# Install Debian packages where that is possible without asking; otherwise say in one line how to.
set -euo pipefail

if ! command -v apt-get >/dev/null; then
    echo "Missing system packages (Debian's names): $*. Install what your system calls them, then run make again." >&2
    exit 1
fi
if [ "$(id -u)" = 0 ]; then
    as_root=(env)
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
else
    echo "Missing system packages. Run: sudo apt-get install $*" >&2
    exit 1
fi
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
