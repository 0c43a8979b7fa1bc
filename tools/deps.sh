#!/bin/sh
# Installs what building needs, if anything is missing: a C compiler, OpenBLAS, stb, Jansson, utf8proc (see docs/dependencies.md).
set -eu
missing() {
    command -v "${CC:-gcc}" >/dev/null 2>&1 || { echo gcc libc6-dev; return; }
    for pair in cblas.h:libopenblas-dev stb/stb_image.h:libstb-dev jansson.h:libjansson-dev utf8proc.h:libutf8proc-dev; do
        echo "#include <${pair%%:*}>" | "${CC:-gcc}" -E -x c - >/dev/null 2>&1 || echo "${pair#*:}"
    done
}
packages=$(missing)
[ -n "$packages" ] || exit 0
packages=$(printf '%s\n' gcc libc6-dev libopenblas-dev libstb-dev libjansson-dev libutf8proc-dev | tr '\n' ' ')
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
if ! command -v apt-get >/dev/null 2>&1 || { [ -n "$sudo" ] && ! command -v sudo >/dev/null 2>&1; }; then
    echo "ti: building needs these packages (Debian's names), and they cannot be installed from here: $packages" >&2
    exit 1
fi
echo "ti: installing what building needs: $sudo apt-get install -y $packages" >&2
export DEBIAN_FRONTEND=noninteractive
{ $sudo apt-get update -qq && $sudo apt-get install -y -qq --no-install-recommends $packages; } >/dev/null || {
    echo "ti: apt-get failed; these packages are needed: $packages" >&2
    exit 1
}
