#!/bin/sh
# SPDX-License-Identifier: MIT
# tools/applications.sh [FOLDER]: makes the pictures of docs/applications.md with the embedded model, one for each
# application that the paper shows. The words that they need are learned first.
set -eu
out=${1:-out/applications}
concepts=weights/critters/concepts
mkdir -p "$out/different"

# learn NAME FOLDER INIT OPTION...: learns a word, unless it is there already.
learn() {
    name=$1 images=$2 init=$3
    shift 3
    [ -e "$out/$name/$name.safetensors" ] ||
        ./ti train --images "$images" --token "<$name>" --init "$init" --out "$out/$name" --force "$@"
}

# draw NAME PROMPT OPTION...: four pictures NAME-1.png to NAME-4.png.
draw() {
    name=$1 prompt=$2
    shift 2
    ./ti generate --prompt "$prompt" --seed 1 --count 4 --out "$out/$name.png" --force "$@"
}

# sheet NAME ROW...: the picture docs/applications-NAME.jpg.
sheet() {
    name=$1
    shift
    ./ti sheet --width 560 --out "docs/applications-$name.jpg" --force "$@"
}

four() { for i in 1 2 3 4; do echo "$out/$1-$i.png"; done; }

learn grum $concepts/grum critter
learn blueprint $concepts/style-blueprint drawing --kind style --steps 300
grum=$out/grum/grum.safetensors blueprint=$out/blueprint/blueprint.safetensors

draw variations 'a photo of a <grum>' --embedding "$grum"
sheet variations "pictures of grum" $concepts/grum/[1-4].png "a photo of a <grum>" $(four variations)

draw crown 'a photo of a <grum> wearing a crown at night' --embedding "$grum"
draw pixels 'pixel art of a <grum> in a meadow' --embedding "$grum"
sheet synthesis "a photo of a <grum> wearing a crown at night" $(four crown) "pixel art of a <grum> in a meadow" $(four pixels)

draw blue 'a tall critter with horns in the style of <blueprint>' --embedding "$blueprint"
sheet style "pictures of the style" $concepts/style-blueprint/[1-4].png \
    "a tall critter with horns in the style of <blueprint>" $(four blue)

draw both 'a <grum> in the style of <blueprint>' --embedding "$grum" --embedding "$blueprint"
sheet composition "a <grum> in the style of <blueprint>" $(four both)

# The biased word: bonik is a species that is always blue. Six boniks of other colours are drawn to learn from.
draw bonik 'a photo of a bonik'
seed=0
for colour in red yellow green purple white orange; do
    seed=$((seed + 1))
    [ -e "$out/different/$colour.png" ] ||
        ./ti generate --prompt "a photo of a $colour bonik" --seed $seed --guidance 6 --out "$out/different/$colour.png"
done
learn any "$out/different" bonik --steps 60
draw any 'a photo of a <any>' --embedding "$out/any/any.safetensors"
sheet bias "a photo of a bonik" $(four bonik) \
    "pictures to learn from" "$out"/different/red.png "$out"/different/yellow.png "$out"/different/green.png "$out"/different/white.png \
    "a photo of a <any>" $(four any)

# The mask of 64 x 64 pixels is white in its middle. (A BMP file begins with the lowest row.)
row() { head -c $((3 * $1)) /dev/zero; head -c $((3 * (64 - 2 * $1))) /dev/zero | tr '\000' '\377'; head -c $((3 * $1)) /dev/zero; }
{
    printf 'BM\000\000\000\000\000\000\000\000\066\000\000\000\050\000\000\000\100\000\000\000\100\000\000\000\001\000\030\000'
    head -c 24 /dev/zero
    for y in $(seq 64); do if [ "$y" -gt 4 ] && [ "$y" -le 60 ]; then row 8; else row 32; fi; done
} >"$out/mask.bmp"
./ti generate --prompt 'a photo of a critter in a meadow' --seed 3 --out "$out/meadow.png" --force
draw blended 'a photo of a <grum> in a meadow' --embedding "$grum" --init-image "$out/meadow.png" --mask "$out/mask.bmp"
sheet blended "the picture and its mask" "$out/meadow.png" "$out/mask.bmp" "a photo of a <grum> in a meadow" $(four blended)
