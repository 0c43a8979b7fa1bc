#!/bin/sh
# SPDX-License-Identifier: MIT
# tools/lines.sh ROOM...: prints the number of lines of C (.c and .h) in each room, which is a source folder,
# in ti.c, in the whole program, in plain/ and in the tests. The arguments are the rooms from the top to the
# bottom, as in the Makefile; the output has the bottom first. `make lines` runs this script.
set -eu
rooms=
for room in "$@"; do rooms="$room $rooms"; done
for part in $rooms ti.c plain tests; do
    echo "$part $(find "$part" -name '*.[ch]' -exec cat {} + | wc -l)"
done | awk '
    $1 == "plain" || $1 == "tests" { beside[$1] = $2; next }
    { part[++parts] = $1; lines[parts] = $2; total += $2 }
    END {
        for (i = 1; i <= parts; i++) printf "%-10s %6d  %5.1f %%\n", part[i], lines[i], 100 * lines[i] / total
        printf "%-10s %6d\n%-10s %6d\n%-10s %6d\n", "total", total, "plain", beside["plain"], "tests", beside["tests"]
    }'
