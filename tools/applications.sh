#!/bin/sh
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

for name in bloop grum mimi zog; do cp $concepts/$name/1.png "$out/different/$name.png"; done
learn anyone "$out/different" critter
draw critter 'a photo of a critter' --count 8
draw anyone 'a photo of a <anyone>' --embedding "$out/anyone/anyone.safetensors" --count 8
