#!/bin/sh
# SPDX-License-Identifier: MIT
# tools/samplers.sh [FOLDER]: draws the same prompts and seeds on the embedded model with every sampler, makes the sheet
# docs/samplers.jpg, and prints the rows of the table in docs/samplers.md. PYTHON is a Python with numpy and Pillow, which measures
# how far the pictures are from those of DDIM in 100 steps. Times are processor time on one thread.
set -eu
out=${1:-out/samplers}
mkdir -p "$out"
cat >"$out/settings" <<END
ddim-100 --sampler ddim --steps 100
ddim-30 --sampler ddim --steps 30
pndm-30 --sampler pndm --steps 30
euler-30 --sampler euler --steps 30
dpm-20 --sampler dpm++2m --steps 20
dpm-12 --sampler dpm++2m --steps 12
karras-15 --sampler dpm++2m --karras --steps 15
karras-12 --sampler dpm++2m --karras --steps 12
karras-10 --sampler dpm++2m --karras --steps 10
ays --steps ays
euler-a-30 --sampler euler-a --steps 30
sde-25 --sampler dpm++2m-sde --steps 25
lcm-4 --sampler lcm --steps 4
END
while read -r name options; do
    seed=0
    for prompt in 'a photo of a blue fluffy critter wearing a crown' 'a critter in the snow at night'; do
        seed=$((seed + 1))
        [ -e "$out/$name-$seed-4.png" ] && continue
        # shellcheck disable=SC2086
        sh -c '"$@" >/dev/null 2>&1; times' sh ./ti generate --prompt "$prompt" --seed $seed --count 4 --guidance 4 --threads 1 \
            --out "$out/$name-$seed.png" --force $options </dev/null | tail -n 1 >"$out/$name-$seed.times"
    done
done <"$out/settings"

set --
while read -r name options; do
    set -- "$@" "ti generate $options" "$out/$name-1-1.png" "$out/$name-1-2.png" "$out/$name-2-1.png" "$out/$name-2-2.png"
done <"$out/settings"
./ti sheet --width 480 --out docs/samplers.jpg --force "$@"

"${PYTHON:-python3}" - "$out" <<'END'
import re, sys
import numpy as np
from PIL import Image
out = sys.argv[1]
def load(name):
    return np.stack([np.array(Image.open(f"{out}/{name}-{p}-{i}.png"), float) for p in (1, 2) for i in (1, 2, 3, 4)])
def seconds(name):
    total = 0
    for p in (1, 2):
        minutes, s = re.match(r"(\d+)m([\d.]+)s", open(f"{out}/{name}-{p}.times").read()).groups()
        total += 60 * int(minutes) + float(s)
    return total / 8
best = load("ddim-100")
print("| options | distance, mean | largest | seconds a picture |\n|---|---|---|---|")
for line in open(f"{out}/settings"):
    name, options = line.split(maxsplit=1)
    d = np.sqrt(((load(name) - best) ** 2).mean((1, 2, 3)))
    print(f"| `{options.strip()}` | {d.mean():.1f} | {d.max():.1f} | {seconds(name):.2f} |")
END
