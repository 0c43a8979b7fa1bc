#!/bin/sh
# SPDX-License-Identifier: MIT
# tools/clean.sh BUILD: removes ./ti and the build folder BUILD, unless make has never built in it. Prints
# which other folders of make and tools/ remain. `make clean` runs this script.
set -eu
build=$1
rm -f ti
if [ -e "$build/flags" ] || [ -e "$build/ti.o" ]; then
    rm -rf "$build"
elif [ -e "$build" ]; then
    echo "ti: $build stays, since make has not built in it" >&2
fi
left=
for path in out build*/; do [ ! -d "$path" ] || left="$left ${path%/}/"; done
[ -z "$left" ] || echo "ti: these folders remain and can be removed by hand:$left"
