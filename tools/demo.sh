#!/bin/sh
# tools/demo.sh [FOLDER]: learns <grum> from five pictures with the embedded model, generates pictures with it,
# lays everything out on one sheet, and scores the word. `make demo` runs this script.
set -eu
out=${1:-out/demo}
pictures=weights/critters/concepts/grum
mkdir -p "$out"

# --force replaces the files of an earlier demo.
./ti train --images $pictures --token '<grum>' --init critter --grid-loss 50 --out "$out/grum" --force
generate() { # NAME PROMPT
    ./ti generate --embedding "$out/grum/grum.safetensors" --prompt "$2" --count 3 --seed 1 --out "$out/$1.png" --force >/dev/null
}
generate learned 'a photo of a <grum>'
generate crown 'a photo of a <grum> wearing a crown'
generate pixels 'pixel art of a <grum>'

./ti sheet --width 448 --out "$out/sheet.png" --force \
    'The pictures that <grum> is learned from' $pictures/1.png $pictures/2.png $pictures/3.png \
    'a photo of a <grum>' "$out"/learned-[123].png \
    'a photo of a <grum> wearing a crown' "$out"/crown-[123].png \
    'pixel art of a <grum>' "$out"/pixels-[123].png
./ti evaluate --images $pictures --embedding "$out/grum/grum.safetensors" --init critter --count 4 \
    --plot "$out/scores.png" --force >"$out/scores.txt"
echo
awk '$1 == "<grum>" && NF > 7 { image = $2; text = $5 } $1 == "critter" && NF > 7 { image0 = $2; text0 = $5 }
    END { print "New pictures of <grum> have a similarity of " image " to those that it was learned from (1 is the same), and of " \
                text " to the other words of their prompts, as CLIP sees them; with \"critter\", the word where it began, these are " \
                image0 " and " text0 "." }' \
    "$out/scores.txt"
echo
echo "The pictures, before and after:  $out/sheet.png"
echo "The losses during training:      $out/grum/loss.png"
echo "The scores, as in the paper:     $out/scores.png"
echo "The learned word:                $out/grum/grum.safetensors"
