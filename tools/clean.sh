#!/bin/sh
# tools/clean.sh BUILD: takes away ./ti and the folder that make built in, and says what else make and tools/ have made
# that stays. A folder that make has not built in is left alone, whatever BUILD names. `make clean` runs it.
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
[ -z "$left" ] || echo "ti: these stay, remove them by hand:$left"
