#!/bin/sh
# SPDX-License-Identifier: MIT
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
settings='5e-3-600|--lr 5e-3 --schedule constant --steps 600|20|5e-3, constant, batch 4, 600 steps
1e-2-100|--lr 1e-2 --schedule constant --steps 100|5|1e-2, constant, batch 4, 100 steps
1e-2-linear-100|--lr 1e-2 --schedule linear --warmup 0 --steps 100|10|1e-2, linear, batch 4, 100 steps
1e-2-linear-200|--lr 1e-2 --schedule linear --warmup 0 --steps 200|20|1e-2, linear, batch 4, 200 steps
1e-2-linear-b8|--lr 1e-2 --schedule linear --warmup 0 --batch 8 --steps 60|10|1e-2, linear, batch 8, 60 steps
2e-2-linear-100|--lr 2e-2 --schedule linear --warmup 0 --steps 100|10|2e-2, linear, batch 4, 100 steps
3e-2-linear-40|--lr 3e-2 --schedule linear --warmup 0 --steps 40|10|3e-2, linear, batch 4, 40 steps'

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

all() { # prints NAME|OPTIONS|EVERY|TEXT|CONCEPT|SEED of every run
    echo "$settings" | while IFS= read -r setting; do
        for concept in $concepts; do
            for seed in $seeds; do echo "$setting|$concept|$seed"; done
        done
    done
}

all | while IFS='|' read -r name options every text concept seed; do
    printf '%s\0%s\0%s\0%s\0%s\0' "$name" "$options" "$every" "$concept" "$seed"
done | xargs -0 -n 5 -P "$jobs" sh "$0" --one "$out"

# The seconds of a step, for each batch size that occurs, on two threads
for batch in 1 4 8; do
    [ -s "$out/seconds-$batch" ] || ./ti train --images weights/critters/concepts/zog --token '<zog>' --init critter \
        --batch $batch --threads 2 --dry-run --json 2>/dev/null |
        awk -F: '/"batch_(forward|backward)"/ { sum += $2 } END { print sum }' >"$out/seconds-$batch"
done

# NAME|TEXT|CONCEPT|SEED|SECONDS OF A STEP|NORM|STEP LOSS STEP LOSS ..., a run a line; the last step is written as -1
all | while IFS='|' read -r name options every text concept seed; do
    run=$out/$name/$concept-$seed
    batch=4
    case $options in *--batch*) batch=${options#*--batch } batch=${batch%% *} ;; esac
    norm=$(./ti inspect "$run/$concept.safetensors" --json | awk -F: '/"norm"/ { print $2 }')
    losses=$(awk '/^step [0-9]+: fixed-grid loss/ { sub(":", "", $2); printf "%s %s ", $2, $5 }
        /^fixed-grid loss/ { sub(",", "", $3); printf "0 %s -1 %s", $3, $5 }' "$run/log")
    steps=${options#*--steps } steps=${steps%% *}
    echo "$name|$text|$concept|$seed|$(cat "$out/seconds-$batch")|$norm|$steps|$losses"
done >"$out/runs"

# A row for each setting. A concept's best loss is the lowest that any of its runs has anywhere.
awk -F'|' '
    function losses(line, at, loss,    n, parts, i) { # fills at and loss, and returns how many there are
        n = split(line, parts, " ") / 2
        for (i = 1; i <= n; i++) { at[i] = parts[2 * i - 1]; loss[i] = parts[2 * i] }
        return n
    }
    function sort(x, n,    i, j, t) {
        for (i = 2; i <= n; i++) for (j = i; j > 1 && x[j - 1] > x[j]; j--) { t = x[j]; x[j] = x[j - 1]; x[j - 1] = t }
    }
    NR == FNR {
        n = losses($8, at, loss)
        for (i = 1; i <= n; i++) if (!($3 in best) || loss[i] < best[$3]) best[$3] = loss[i]
        next
    }
    {
        if (!($1 in runs)) order[++settings] = $1
        text[$1] = $2; runs[$1]++; norms[$1] += $6
        n = losses($8, at, loss)
        first = -1
        for (i = 1; i <= n; i++) {
            step = at[i] == -1 ? $7 : at[i] + 0
            if (at[i] == -1) { over = loss[i] / best[$3] - 1; sum[$1] += over; if (over > worst[$1]) worst[$1] = over }
            if (loss[i] <= 1.01 * best[$3] && (first < 0 || step < first)) first = step
        }
        if (first >= 0) { reached[$1]++; steps[$1, reached[$1]] = first; second[$1] = $5 }
        second[$1] = $5
    }
    END {
        print "| learning rate, schedule, batch, steps | end above the best, mean | worst | runs within 1 % | steps until then, median | seconds | norm |"
        print "|---|---|---|---|---|---|---|"
        for (k = 1; k <= settings; k++) {
            s = order[k]
            for (i = 1; i <= reached[s]; i++) x[i] = steps[s, i]
            sort(x, reached[s])
            median = reached[s] ? x[int((reached[s] + 1) / 2)] : 0
            printf "| %s | %.2f %% | %.2f %% | %d of %d | %s | %s | %.2f |\n", text[s], 100 * sum[s] / runs[s], 100 * worst[s],
                reached[s], runs[s], reached[s] ? median : "-", reached[s] ? sprintf("%.1f", median * second[s]) : "-", norms[s] / runs[s]
        }
    }' "$out/runs" "$out/runs" >"$out/table.md"

# The pictures of seed 1: a sheet for each concept, with a row for each setting
for concept in $concepts; do
    set --
    old=$IFS IFS='
'
    for setting in $settings; do
        name=${setting%%|*} text=${setting##*|}
        set -- "$@" "$text" "$out/$name/$concept-1/pictures-1.png" "$out/$name/$concept-1/pictures-2.png"
    done
    IFS=$old
    ./ti sheet --width 448 --out "docs/settings-$concept.jpg" --force "$@" >/dev/null
done

awk -v table="$out/table.md" '
    /tools\/settings.sh writes from here/ { print; while ((getline line < table) > 0) print line; skip = 1 }
    /to here/ { skip = 0 }
    !skip' "$page" >"$out/page.md" && cp "$out/page.md" "$page"
cat "$out/table.md"
