#!/usr/bin/env bash
# See to the libraries that Qt and OpenGL need on a virtual screen.
set -euo pipefail
here=$(dirname "$0")

packages=(
    xvfb xauth libgl1 libegl1 libopengl0 libxkbcommon-x11-0 libdbus-1-3 libxcb-cursor0 libxcb-icccm4
    libxcb-keysyms1 libxcb-shape0 libxcb-xinerama0 libxcb-image0 libxcb-render-util0 libxcb-xkb1
)

if ! command -v dpkg-query >/dev/null; then
    # Another system: its libraries go by other names, so only the virtual screen is looked for.
    command -v xvfb-run >/dev/null || exec "$here/apt_install.sh" "${packages[@]}"
    exit 0
fi
missing=()
for package in "${packages[@]}"; do
    state=$(dpkg-query --show --showformat '${db:Status-Status}\n' "$package" 2>/dev/null || true)
    grep -qx installed <<<"$state" || missing+=("$package")
done
if ((${#missing[@]})); then
    exec "$here/apt_install.sh" "${missing[@]}"
fi
