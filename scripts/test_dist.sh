#!/usr/bin/env bash
# Install the wheel, then the sdist, into empty environments and run a short demonstration from each; from the wheel also the
# whole job in a viewer, on a virtual screen.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
dist=$(cd "${1:-dist}" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
torch=$(grep '^torch==' "$root/constraints.txt")
python=$("$root/scripts/find_python.sh")
cp "$root/scripts/viewer_story.py" "$work/"
screen=()
if command -v xvfb-run >/dev/null; then screen=(xvfb-run -a); fi
# Away from the checkout, so that nothing but what was built can be imported.
cd "$work"
for package in "$dist"/*.whl "$dist"/*.tar.gz; do
    rm -rf env demo
    "$python" -m venv env
    env/bin/python -m pip install --quiet --disable-pip-version-check -c "$root/constraints.txt" "$torch" "$package"
    env/bin/python -c 'import napari_landmark as n; print(n.__version__, n.__file__)'
    env/bin/napari-landmark demo --out demo --minutes 0.2
    if [[ $package == *.whl ]]; then
        env/bin/python -m pip install --quiet --disable-pip-version-check -c "$root/constraints.txt" "$package[all]"
        "${screen[@]}" env/bin/python viewer_story.py 0.2
    fi
    echo "works: ${package##*/}"
done
