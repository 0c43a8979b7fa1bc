#!/bin/sh
# SPDX-License-Identifier: MIT
# tools/deb.sh [FOLDER]: makes a Debian package of the last commit, with its source package, in FOLDER (out/deb), and
# lets lintian check it. It needs the Debian packages dpkg-dev, debhelper and lintian. `make deb` runs this script.
set -eu
out=${1:-out/deb}
version=$(sed -n 's/^#define TI_VERSION "\(.*\)"$/\1/p' cli/help.h)
for program in dpkg-buildpackage:dpkg-dev dh:debhelper lintian:lintian; do
    command -v "${program%%:*}" >/dev/null || { echo "ti: make deb needs the Debian package ${program#*:}" >&2; exit 1; }
done
if [ "$(sed -n '1s/^ti (\(.*\)).*/\1/p' debian/changelog)" != "$version" ]; then
    echo "ti: the first entry of debian/changelog is not that of version $version" >&2
    exit 1
fi
rm -rf "$out" && mkdir -p "$out"
git archive --prefix="ti-$version/" HEAD | tar -C "$out" -x
unset MAKEFLAGS MAKELEVEL MARCH BUILD
(cd "$out/ti-$version" && dpkg-buildpackage -us -uc) >"$out/build.log" 2>&1 || {
    tail -n 40 "$out/build.log" >&2
    echo "ti: the package does not build: $out/build.log" >&2
    exit 1
}
rm -rf "$out/ti-$version"
lintian --fail-on error,warning "$out"/*.changes
ls "$out"/*.deb
