#!/bin/sh
# SPDX-License-Identifier: MIT
# tools/pictures.sh [FOLDER]: draws on the embedded model what README.md shows of pictures that begin from another one, and makes
# the sheet docs/pictures.jpg.
set -eu
out=${1:-out/pictures}
mkdir -p "$out"
photo=golden/init_square.png
# The mask: 64 x 64 pixels, the upper 12 rows white. (A BMP file begins with the lowest row.)
{
    printf 'BM\000\000\000\000\000\000\000\000\066\000\000\000\050\000\000\000\100\000\000\000\100\000\000\000\001\000\030\000'
    head -c 24 /dev/zero
    head -c 9984 /dev/zero
    head -c 2304 /dev/zero | tr '\000' '\377'
} >"$out/mask.bmp"

./ti generate --init-image "$photo" --strength 0.6 --prompt 'a photo of a critter in the snow' --guidance 4 --seed 1 --count 3 \
    --out "$out/snow.png" --force
./ti generate --init-image "$photo" --mask "$out/mask.bmp" --prompt 'a photo of a critter wearing a crown' --guidance 4 --seed 1 \
    --count 3 --out "$out/crown.png" --force
./ti invert "$photo" --prompt 'a photo of a critter' --out "$out/noise.safetensors" --force
again() { ./ti generate --latents "$out/noise.safetensors" --sampler ddim --steps 50 --force "$@"; }
again --prompt 'a photo of a critter' --guidance 1 --out "$out/back.png"
again --prompt 'a photo of a red critter' --guidance 2 --out "$out/red.png"
again --prompt 'a photo of a critter in the snow' --guidance 2 --out "$out/cold.png"
./ti sheet --width 760 --out docs/pictures.jpg --force \
    "from a picture: a critter in the snow" \
    "$photo" "$out/snow-1.png" "$out/snow-2.png" "$out/snow-3.png" \
    "into a mask: a critter wearing a crown" \
    "$out/mask.bmp" "$out/crown-1.png" "$out/crown-2.png" "$out/crown-3.png" \
    "back to noise: drawn again; a red critter; a critter in the snow" \
    "$photo" "$out/back.png" "$out/red.png" "$out/cold.png"
