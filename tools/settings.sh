#!/bin/sh
# tools/settings.sh [OUT]: learns every concept of the embedded model with several settings and three seeds each,
# and writes the tables and pictures of docs/settings.md. It keeps the runs in the folder OUT (out/settings) and,
# when it is started again, does only those that are missing. JOBS runs at a time (2), with one thread each, take
# about half an hour on two cores.
set -eu
[ "${1:-}" = --one ] && out=$2 || out=${1:-out/settings}
jobs=${JOBS:-2}
concepts='zog bloop mimi grum style-blueprint'
seeds='1 2 3'
page=docs/settings.md
mkdir -p "$out"

# NAME|options|steps between two fixed-grid losses|how the page calls it
settings='today|--lr 5e-3 --steps 600|20|5e-3, constant, batch 4, 600 steps
1e-2|--lr 1e-2 --steps 100|5|1e-2, constant, batch 4, 100 steps
1e-2-linear|--lr 1e-2 --schedule linear --steps 100|5|1e-2, linear, batch 4, 100 steps
1e-2-b8|--lr 1e-2 --schedule linear --batch 8 --steps 60|5|1e-2, linear, batch 8, 60 steps
1e-2-b1|--lr 1e-2 --schedule linear --batch 1 --steps 200|10|1e-2, linear, batch 1, 200 steps
2e-2-linear|--lr 2e-2 --schedule linear --steps 60|5|2e-2, linear, batch 4, 60 steps
3e-2-linear|--lr 3e-2 --schedule linear --steps 40|5|3e-2, linear, batch 4, 40 steps'

prompt() { # CONCEPT: what its validation picture and the pictures of the page show
    case $1 in
    style-*) echo "a critter on the beach in the style of <$1>" ;;
    *) echo "a photo of a <$1> on the beach" ;;
    esac
}

# Runs one training and samples two pictures with its word. The fixed-grid losses are in the file log.
learn() { # NAME OPTIONS EVERY CONCEPT SEED
    run=$out/$1/$4-$5
    [ ! -s "$run/pictures-2.png" ] || return 0
    kind=object init=critter
    case $4 in style-*) kind=style init=drawing ;; esac
    mkdir -p "$run"
    # shellcheck disable=SC2086
    ./ti train --images "weights/critters/concepts/$4" --token "<$4>" --init $init --kind $kind $2 --grid-loss "$3" \
        --seed "$5" --threads 1 --out "$run" --force >"$run/log" 2>/dev/null
    ./ti generate --embedding "$run/$4.safetensors" --prompt "$(prompt "$4")" --count 2 --seed 1 --threads 1 \
        --out "$run/pictures.png" --force >/dev/null 2>&1
}

if [ "${1:-}" = --one ]; then # how xargs calls this script below
    out=$2
    learn "$3" "$4" "$5" "$6" "$7"
    exit
fi

echo "$settings" | while IFS='|' read -r name options every text; do
    for concept in $concepts; do
        for seed in $seeds; do printf '%s\0%s\0%s\0%s\0%s\0' "$name" "$options" "$every" "$concept" "$seed"; done
    done
done | xargs -0 -n 5 -P "$jobs" sh "$0" --one "$out"
