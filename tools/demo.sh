#!/bin/sh
# SPDX-License-Identifier: MIT
# tools/demo.sh [FOLDER]: learns <grum> from five pictures with the embedded model, generates pictures with it,
# lays everything out on one sheet, and scores the word. `make demo` runs this script.
set -eu
out=${1:-out/demo}
pictures=weights/critters/concepts/grum
mkdir -p "$out"

# Runs a command that writes to the log, which is shown only if the command fails. So a terminal shows 15 lines, which
# README.md has and tests/check_demo.sh compares.
quietly() { "$@" >"$out/log" 2>&1 || { cat "$out/log" >&2; exit 1; }; }

# --force replaces the files of an earlier demo.
./ti train --images $pictures --token '<grum>' --init critter --grid-loss 100 --out "$out/grum" --force
generate() { # NAME PROMPT
    quietly ./ti generate --embedding "$out/grum/grum.safetensors" --prompt "$2" --count 3 --seed 1 --out "$out/$1.png" --force
}
echo "Generating pictures with <grum>, and scoring it and \"critter\" by 48 more ..."
generate learned 'a photo of a <grum>'
generate crown 'a photo of a <grum> wearing a crown'
generate pixels 'pixel art of a <grum>'

quietly ./ti sheet --width 448 --out "$out/sheet.png" --force \
    'The pictures that <grum> is learned from' $pictures/1.png $pictures/2.png $pictures/3.png \
    'a photo of a <grum>' "$out"/learned-[123].png \
    'a photo of a <grum> wearing a crown' "$out"/crown-[123].png \
    'pixel art of a <grum>' "$out"/pixels-[123].png
quietly ./ti evaluate --images $pictures --embedding "$out/grum/grum.safetensors" --init critter --count 4 \
    --plot "$out/scores.png" --force
grep -v '^ti: ' "$out/log" >"$out/scores.txt"
awk '$1 == "<grum>" && NF > 7 { image = $2; text = $5 } $1 == "critter" && NF > 7 { image0 = $2; text0 = $5 }
    END { print "As CLIP sees them, new pictures of <grum> are similar to those that it was learned from by " image " (1 is the same), and"
          print "to the other words of their prompts by " text "; those of \"critter\", the word where it began, by " image0 " and " text0 "." }' \
    "$out/scores.txt"
echo "Look at $out/sheet.png (before and after), $out/grum/loss.png (the losses) and $out/scores.png (the scores)."
