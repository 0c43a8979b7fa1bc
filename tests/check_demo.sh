#!/bin/sh
# SPDX-License-Identifier: MIT
# tests/check_demo.sh [FOLDER [LOG]]: checks the result of `make demo`. The fixed-grid loss of the learned word on
# its pictures must be at least 0.004 lower than that of its initial word (it falls from about 0.161 to
# 0.153), and at least 0.004 lower than that of a word learned from another creature. In CLIP's space its pictures
# must be more similar to the creature's than those of the initial word by 0.2 (they are by about 0.5).
# LOG is what `make demo` has printed. Its last lines must be those that README.md shows, but for numbers, the place of the
# model, the advice where bfloat16 would be faster, the order of lines on standard output and error, and progress, of
# which a file gets more lines than a terminal.
set -eu
out=${1:-out/demo}
shown() { # FILE: the demo's lines without what differs between two runs
    sed -n '/ti: the embedded model/,$p' "$1" | sed -E '/^ *$/d; /^ *(step|fixed-grid loss) [0-9]+\/100 /d; s/^ +//
        s/; a step with --precision .*//; s|[^ ]*/weights/critters|critters|; s/[GM]B/B/g; s/[0-9]+([.:][0-9]+)?/N/g' | sort
}
if [ -n "${2:-}" ]; then
    sed -n '/^`make demo` ends with/,/^\*\*Where it runs/p' README.md | grep '^    ' >"$out/promised"
    [ "$(wc -l <"$out/promised")" -eq 15 ]
    shown "$out/promised" >"$out/promised.text"
    shown "$2" | diff "$out/promised.text" - || { echo "make demo prints other lines than README.md shows" >&2; exit 1; }
fi
grum=weights/critters/concepts/grum
loss() { ./ti evaluate --clip none --images $grum "$@" | sed -n 's/^fixed-grid loss \([0-9.]*\)$/\1/p'; }
[ -s "$out/sheet.png" ] && [ -s "$out/grum/loss.png" ] && [ -s "$out/scores.png" ]
./ti train --images weights/critters/concepts/zog --token '<zog>' --init critter --steps 200 --out "$out/zog" --force
initial=$(loss --init critter)
learned=$(loss --embedding "$out/grum/grum.safetensors")
other=$(loss --embedding "$out/zog/zog.safetensors")
echo "fixed-grid loss on grum's pictures: initial word $initial, learned word $learned, zog's word $other"
awk -v i="$initial" -v l="$learned" -v o="$other" 'BEGIN { exit !(l > 0 && l < i - 0.004 && l < o - 0.004) }'
awk '$1 == "<grum>" && NF > 7 { l = $2 } $1 == "critter" && NF > 7 { i = $2 } END { exit !(l > i + 0.2) }' "$out/scores.txt"
