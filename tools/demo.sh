#!/bin/sh
# make demo: learns <grum> from five pictures on the embedded model, draws with it, and lays everything on one sheet.
set -eu
out=${1:-out/demo}
pictures=weights/critters/concepts/grum
mkdir -p "$out"

# --force: the demo replaces what an earlier one wrote.
./ti train --images $pictures --token '<grum>' --init critter --out "$out/grum" --force
draw() { # NAME PROMPT [OPTIONS]
    name=$1 prompt=$2
    shift 2
    ./ti generate --prompt "$prompt" --count 5 --seed 1 --out "$out/$name.png" --force "$@" >/dev/null
}
learned=$out/grum/grum.safetensors
draw initial 'a photo of a critter'
draw learned 'a photo of a <grum>' --embedding "$learned"
draw worn 'a photo of a <grum> wearing a crown' --embedding "$learned"
draw scene 'a photo of a <grum> on the beach' --embedding "$learned"
draw style 'pixel art of a <grum>' --embedding "$learned"

./ti sheet --out "$out/sheet.png" --force \
    'the pictures <grum> is learned from' $pictures/*.png \
    'the initial word: a photo of a critter' "$out"/initial-*.png \
    'the learned word: a photo of a <grum>' "$out"/learned-*.png \
    'a photo of a <grum> wearing a crown' "$out"/worn-*.png \
    'a photo of a <grum> on the beach' "$out"/scene-*.png \
    'pixel art of a <grum>' "$out"/style-*.png
echo
echo "The pictures, before and after:  $out/sheet.png"
echo "The loss as it fell:             $out/grum/loss.png"
echo "The learned word:                $learned"
