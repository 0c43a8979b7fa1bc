#!/bin/sh
# tools/demo.sh [FOLDER]: with the embedded model, learns <grum> from five pictures, generates pictures with
# it, and puts all of them on one sheet. `make demo` runs this script.
set -eu
out=${1:-out/demo}
pictures=weights/critters/concepts/grum
mkdir -p "$out"

# With --force the demo replaces the files of an earlier run.
./ti train --images $pictures --token '<grum>' --init critter --out "$out/grum" --force
generate() { # NAME PROMPT [OPTIONS]
    name=$1 prompt=$2
    shift 2
    ./ti generate --prompt "$prompt" --count 5 --seed 1 --out "$out/$name.png" --force "$@" >/dev/null
}
learned=$out/grum/grum.safetensors
generate initial 'a photo of a critter'
generate learned 'a photo of a <grum>' --embedding "$learned"
generate worn 'a photo of a <grum> wearing a crown' --embedding "$learned"
generate scene 'a photo of a <grum> on the beach' --embedding "$learned"
generate style 'pixel art of a <grum>' --embedding "$learned"

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
