#!/bin/sh
# SPDX-License-Identifier: MIT
# tools/dist.sh [FOLDER]: makes the source tarball ti-VERSION.tar.gz of the last commit in FOLDER (out/dist). It then
# unpacks the tarball in an empty folder, where it builds, tests and installs it. The same commit gives the same bytes.
# `make dist` runs this script.
set -eu
out=${1:-out/dist}
version=$(sed -n 's/^#define TI_VERSION "\(.*\)"$/\1/p' cli/help.h)
name=ti-$version
if ! git rev-parse --verify -q HEAD >/dev/null 2>&1 || [ -n "$(git rev-parse --show-prefix)" ]; then
    echo "ti: make dist packs the last commit, so it needs a git checkout" >&2
    exit 1
fi
[ -z "$(git status --porcelain)" ] || echo "ti: warning: the tarball holds the last commit, without the changes since" >&2
mkdir -p "$out"
git archive --prefix="$name/" HEAD >"$out/$name.tar"
gzip -9nf "$out/$name.tar"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
tar -C "$work" -xzf "$out/$name.tar.gz"
(
    cd "$work/$name"
    unset MAKEFLAGS MAKELEVEL
    make -j "$(nproc)" ti build/test_critters
    TI=build/ti build/test_critters
    make install DESTDIR="$work/installed" PREFIX=/usr
    "$work/installed/usr/bin/ti" --version
    "$work/installed/usr/bin/ti" tokens 'a photo of a critter'
) >"$work/log" 2>&1 || {
    tail -n 40 "$work/log" >&2
    echo "ti: $out/$name.tar.gz does not build in an empty folder" >&2
    exit 1
}
echo "$out/$name.tar.gz: $(wc -c <"$out/$name.tar.gz") bytes; builds in an empty folder, installs and runs"
