#!/usr/bin/env bash
# Print a Python >= 3.11 that can make virtual environments; install Debian's if that can be done here.
set -euo pipefail
here=$(dirname "$0")

suitable() { "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3 python3.11 python3.12 python3.13 python; do
        if [ -n "$candidate" ] && suitable "$candidate"; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}

find_python && exit
"$here/apt_install.sh" python3 python3-venv >&2
find_python && exit
echo "Python 3.11 or newer with its venv module was not found: install it, or name it with PYTHON=..." >&2
exit 1
