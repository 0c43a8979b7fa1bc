#!/bin/sh
# SPDX-License-Identifier: MIT
# tools/study.sh: learns every concept of the embedded model with many settings and seeds, scores each word as the paper does, and
# writes the tables, plots and sheets of docs/study.md and docs/settings.md. `make study` runs it.
#
# Each run is a line of docs/study/runs.csv. A run whose line is there is not done again, so the study can be stopped at any time
# and continued, also on another machine. JOBS runs at a time (2), with one thread each, take some hours on two cores. TABLES=1 adds
# no line, and writes the tables, plots and sheets of what is there. With QUICK=1 only a few settings, two concepts and one seed are
# tried, the lines go to out/study/quick.csv, and the table is printed instead.
set -eu
out=out/study
table=${QUICK:+$out/quick.csv}
table=${table:-docs/study/runs.csv}
seconds=docs/study/seconds.csv # of a step on two threads, with each batch size
jobs=${JOBS:-2}
concepts='zog bloop mimi grum style-blueprint' seeds='1 2 3'
[ -z "${QUICK:-}" ] || { concepts='mimi grum' seeds=1; }

# GROUP|NAME|options of ti train|how the pages call it. Without options a run has the defaults of the embedded model. The last
# column says whether QUICK=1 tries it.
settings='base|base||2e-2, linear, batch 4, 100 steps, one vector|quick
lr|lr-2e-3|--lr 2e-3|learning rate 2e-3|quick
lr|lr-5e-3|--lr 5e-3|learning rate 5e-3|
lr|lr-1e-2|--lr 1e-2|learning rate 1e-2|
lr|lr-5e-2|--lr 5e-2|learning rate 5e-2|quick
steps|steps-25|--steps 25|25 steps|quick
steps|steps-50|--steps 50|50 steps|
steps|steps-200|--steps 200|200 steps|
steps|steps-400|--steps 400|400 steps|
schedule|constant|--lr 1e-2 --schedule constant|1e-2, constant|
schedule|constant-600|--lr 5e-3 --schedule constant --steps 600|5e-3, constant, 600 steps|
batch|batch-1|--batch 1 --steps 400|batch 1, 400 steps|
batch|batch-8|--batch 8 --steps 50|batch 8, 50 steps|
batch|batch-16|--batch 16|batch 16, 100 steps|
batch|batch-64|--batch 64|batch 64, 100 steps|
vectors|vectors-2|--vectors 2|2 vectors|
vectors|vectors-3|--vectors 3|3 vectors|quick
vectors|vectors-4|--vectors 4|4 vectors|
vectors|vectors-5|--vectors 5|5 vectors|
progressive|progressive-2|--vectors 2 --progressive 40|2 vectors, the second from step 40|
progressive|progressive-3|--vectors 3 --progressive 30|3 vectors, the next every 30 steps|quick
regularised|regularised-0.01|--regularise 0.01|regularised, W = 0.01|
regularised|regularised-0.1|--regularise 0.1|regularised, W = 0.1|quick
regularised|regularised-1|--regularise 1|regularised, W = 1|
per-image|per-image-0.25|--per-image 0.25|per-image tokens, P = 0.25|
per-image|per-image-1|--per-image 1|per-image tokens, P = 1|quick
norm|norm-median|--norm median|norm of the median word (0.26)|quick
norm|norm-0.6|--norm 0.6|norm 0.6|
norm|norm-1|--norm 1|norm 1|
norm|sphere|--norm sphere --lr 0.04 --schedule cosine --warmup 0|sphere, 0.04 rad, cosine|quick
stop|stop-auto|--stop auto|ended by --stop auto|
pictures|pictures-1|PICTURES=1|1 picture|quick
pictures|pictures-2|PICTURES=2|2 pictures|
pictures|pictures-3|PICTURES=3|3 pictures|
pictures|pictures-4|PICTURES=4|4 pictures|'
[ -z "${QUICK:-}" ] || settings=$(echo "$settings" | grep '|quick$')

shown='base lr-2e-3 lr-5e-2 steps-25 steps-400 batch-1 vectors-3 norm-median norm-1 sphere stop-auto' # on the sheets

# number KEY: the number with this key in the JSON document on standard input, where it occurs first.
number() { awk -F'[:,]' -v key="\"$1\"" '$1 ~ key { gsub(/[ \t]/, "", $2); print $2; exit }'; }

# Runs ti evaluate with the prompts for a concept.
score() { # CONCEPT OPTION...
    concept=$1
    shift
    case $concept in style-*)
        set -- --kind style --prompt 'a painting in the style of {}' --prompt 'a critter on the beach in the style of {}' \
            --prompt 'a critter wearing a crown in the style of {}' --prompt 'a tall critter with horns in the style of {}' "$@"
        ;;
    esac
    ./ti evaluate --images "weights/critters/concepts/$concept" --json --threads 1 "$@"
}

# Learns a word. Its file, losses.csv and the log are in the folder that $run then names.
learn() { # NAME OPTIONS CONCEPT SEED
    run=$out/$1/$3-$4 images=weights/critters/concepts/$3 kind=object init=critter token=$3 seed=$4
    case $3 in style-*) kind=style init=drawing ;; esac
    steps=100
    case $2 in *--steps*) steps=${2#*--steps } steps=${steps%% *} ;; esac
    rm -rf "$run" && mkdir -p "$run"
    case $2 in
    PICTURES=*)
        mkdir "$run/pictures"
        ls "$images"/*.png | head -n "${2#*=}" | while read -r picture; do cp "$picture" "$run/pictures/"; done
        images=$run/pictures
        set --
        ;;
    # shellcheck disable=SC2086
    *) set -- $2 ;; # its words are options
    esac
    ./ti train --images "$images" --token "<$token>" --init $init --kind $kind --warmup 0 --grid-loss $((steps / 5)) --seed "$seed" \
        --threads 1 --checkpoint-every 0 --out "$run/word" "$@" >"$run/log" 2>"$run/messages"
}

# Learns one word, scores it and prints its line. The words of seed 1 are kept for the sheets.
one() { # GROUP NAME OPTIONS CONCEPT SEED
    learn "$2" "$3" "$4" "$5"
    word=$run/word/$4.safetensors
    score "$4" --embedding "$word" >"$run/scores.json" 2>"$run/messages"
    losses=$(awk '/^step [0-9]+: fixed-grid loss/ { sub(":", "", $2); printf "%s:%s ", $2, $5 }' "$run/log")
    ends=$(awk '/^fixed-grid loss/ { sub(",", "", $3); print $3, $5 }' "$run/log")
    norm=$(./ti inspect "$word" --json | number norm)
    done=$(tail -n 1 "$run/word/losses.csv" | cut -d, -f1)
    echo "$1,$2,$4,$5,$done,${losses}end:${ends#* },${ends% *},${ends#* },$norm,$(for key in image_similarity \
        text_similarity text_similarity_of_mean; do number $key <"$run/scores.json"; done | paste -sd, -)"
    [ "$5" != 1 ] || mv "$word" "$out/words/$2-$4.safetensors"
    rm -r "$run"
}

# Scores what words are compared with: the initial word, prompts without a word, and the training pictures themselves.
references() { # CONCEPT
    init=critter
    case $1 in style-*) init=drawing ;; esac
    score "$1" --init $init 2>/dev/null |
        awk -F'[:,]' -v concept="$1" '
            /"name"/ { name = $2; gsub(/[ \t"]+/, " ", name); name = name == " no word " ? "no word" : "the initial word" }
            /"training_pictures"/ { name = "the training pictures" }
            /"image_similarity"/ { image = $2 + 0 }
            /"text_similarity"/ { text = $2 + 0 }
            /"text_similarity_of_mean"/ {
                printf "reference,%s,%s,0,0,end:0,0,0,0,%.9g,%.9g,%.9g\n", name, concept, image, text, $2 }'
}

# A line is appended whole, with one write, so that JOBS processes can append to one file.
if [ "${1:-}" = --one ]; then
    line=$(one "$2" "$3" "$4" "$5" "$6")
    printf '%s\n' "$line" >>"$table"
    echo "$line"
    exit
fi

mkdir -p "$out/words" "$(dirname "$table")"
[ -s "$table" ] ||
    echo 'group,setting,concept,seed,steps,losses,loss_before,loss_after,norm,image_similarity,text_similarity,text_similarity_of_mean' >"$table"
if [ -z "${TABLES:-}" ]; then
    for concept in $concepts; do
        grep -q "^reference,the training pictures,$concept," "$table" || references "$concept" >>"$table"
    done
    # Seed by seed, so that what is done first covers all settings.
    for seed in $seeds; do
        echo "$settings" | while IFS='|' read -r group name options text quick; do
            for concept in $concepts; do
                grep -q "^$group,$name,$concept,$seed," "$table" || printf '%s\0' "$group" "$name" "$options" "$concept" "$seed"
            done
        done
    done | xargs -0 -r -n 5 -P "$jobs" sh "$0" --one
fi

if [ ! -s $seconds ]; then
    for batch in 1 4 8 16 64; do
        ./ti train --images weights/critters/concepts/zog --token '<zog>' --init critter --batch $batch --threads 2 --dry-run --json \
            2>/dev/null | awk -F: -v batch=$batch '/"batch_(forward|backward)"/ { sum += $2 } END { printf "%d,%.4g\n", batch, sum }'
    done >"$seconds.new" && mv "$seconds.new" $seconds
fi

# A row for each setting of some groups, "all" of them. Scores are means over a setting's runs. What follows "+-" is half of a 95 %
# interval (1.96 standard errors) of the difference between the setting and the first one, over the pairs of runs of the same
# concept and seed. The best loss of a concept is the lowest that any run has anywhere.
rows() { # GROUP...
    echo "$settings" | awk -F'|' -v groups=" $* " '
        function losses(text, at, loss,    n, parts, i, two) {
            n = split(text, parts, " ")
            for (i = 1; i <= n; i++) { split(parts[i], two, ":"); at[i] = two[1]; loss[i] = two[2] }
            return n
        }
        FILENAME == "-" {
            order[++settings] = $2; group[$2] = $1; text[$2] = $4; batch[$2] = 4
            if (split($3, part, "--batch ") == 2) batch[$2] = part[2] + 0
            next
        }
        FILENAME ~ /seconds/ { split($0, f, ","); second[f[1]] = f[2]; next }
        FNR == 1 || /^reference/ { next }
        {
            split($0, f, ",")
            run = f[2] SUBSEP f[3] SUBSEP f[4]
            runs[f[2]]++; pair[++all] = run; setting[all] = f[2]; of[all] = f[3] SUBSEP f[4]; concept[all] = f[3]
            curve[all] = f[6]; end[all] = f[8]; norm[f[2]] += f[9]; steps[all] = f[5]; total[f[2]] += f[5]
            score[run, 1] = f[10]; score[run, 2] = f[11]
            if (f[3] ~ /^style/) { styles[f[2]]++; style[f[2]] += f[10] }
            n = losses(f[6], at, loss)
            if (f[1] == "pictures") next # its losses are those of fewer pictures
            for (i = 1; i <= n; i++) if (!(f[3] in best) || loss[i] < best[f[3]]) best[f[3]] = loss[i]
        }
        END {
            print "| setting | runs | steps | similarity to the pictures | and the difference | of the style alone | similarity to the text | and the difference | loss above the best | seconds until within 1 % | norm |"
            print "|---|---|---|---|---|---|---|---|---|---|---|"
            for (k = 1; k <= settings; k++) {
                s = order[k]
                if (groups != " all " && !index(groups, " " group[s] " ") || !runs[s]) continue
                over = reached = 0
                for (j = 1; j <= 2; j++) sum[j] = difference[j] = square[j] = pairs[j] = 0
                for (r = 1; r <= all; r++) {
                    if (setting[r] != s) continue
                    for (j = 1; j <= 2; j++) {
                        x = score[pair[r], j]; sum[j] += x
                        if ((("base" SUBSEP of[r]) SUBSEP j) in score) {
                            d = x - score["base" SUBSEP of[r], j]; difference[j] += d; square[j] += d * d; pairs[j]++
                        }
                    }
                    over += end[r] / best[concept[r]] - 1
                    n = losses(curve[r], at, loss)
                    for (i = 1; i <= n; i++) if (loss[i] <= 1.01 * best[concept[r]]) {
                        reached++; first[reached] = at[i] == "end" ? steps[r] : at[i]; break
                    }
                }
                row = "| " text[s] " | " runs[s] " | " sprintf("%.0f", total[s] / runs[s])
                for (j = 1; j <= 2; j++) {
                    row = row sprintf(" | %.3f", sum[j] / runs[s])
                    p = pairs[j]; mean = p ? difference[j] / p : 0
                    half = p > 1 ? 1.96 * sqrt((square[j] - p * mean * mean) / (p - 1) / p) : 0
                    row = row (s == "base" || p < 2 ? " | " : sprintf(" | %+.3f +- %.3f", mean, half))
                    if (j == 1) row = row (styles[s] ? sprintf(" | %.3f", style[s] / styles[s]) : " | ")
                }
                for (i = 2; i <= reached; i++) for (m = i; m > 1 && first[m - 1] + 0 > first[m] + 0; m--) {
                    t = first[m]; first[m] = first[m - 1]; first[m - 1] = t
                }
                within = reached ? sprintf("%.1f (%d of %d)", first[int((reached + 1) / 2)] * second[batch[s]], reached, runs[s]) : "-"
                above = sprintf("%.2f %%", 100 * over / runs[s])
                if (group[s] == "pictures") above = within = "-"
                print row sprintf(" | %s | %s | %.2f |", above, within, norm[s] / runs[s])
            }
        }' - $seconds "$table"
}

# Writes the tables of a page anew, each after a comment that names its groups.
fill() { # PAGE
    old=
    while IFS= read -r line; do
        [ "$line" != '<!-- to here -->' ] || old=
        [ -n "$old" ] || printf '%s\n' "$line"
        case $line in
        '<!-- make study writes here: '*)
            line=${line#*: }
            rows ${line%% -->}
            old=1
            ;;
        esac
    done <"$1" >"$out/page.md" && cp "$out/page.md" "$1"
}

# The means of the settings of some groups as points, of the paper's figure: similarity to the pictures and to the text.
plot() { # FILE GROUP...
    file=$1
    shift
    awk -F, -v groups=" $* " 'index(groups, " " $1 " ") {
            n[$2]++; x[$2] += $10; y[$2] += $11; if (n[$2] == 1) name[++count] = $2
            if ($1 == "reference") kind[$2] = $1
        }
        END { for (i = 1; i <= count; i++) { s = name[i]; printf "%s|%.9g|%.9g|nan|nan|%s\n", s, x[s] / n[s], y[s] / n[s], kind[s] } }' \
        "$table" | "${PLOT:-build/plot_points}" 'similarity to the pictures' 'similarity to the text' "$file"
}

# A sheet of pictures for a concept, with a row for each of some settings.
sheet() { # CONCEPT
    concept=$1 prompt="a photo of a <$1> on the beach"
    case $1 in style-*) prompt="a critter on the beach in the style of <$1>" ;; esac
    set --
    for name in $shown; do
        setting=$(echo "$settings" | grep "|$name|")
        options=$(echo "$setting" | cut -d'|' -f3) word=$out/words/$name-$concept.safetensors
        if [ ! -s "$word" ]; then # Its line was written on another machine.
            learn "$name" "$options" "$concept" 1
            mv "$run/word/$concept.safetensors" "$word"
            rm -r "$run"
        fi
        ./ti generate --embedding "$word" --prompt "$prompt" --count 2 --seed 1 --out "$out/$name-$concept.png" --force >/dev/null 2>&1
        set -- "$@" "$(echo "$setting" | cut -d'|' -f4)" "$out/$name-$concept-1.png" "$out/$name-$concept-2.png"
    done
    ./ti sheet --width 448 --out "docs/settings-$concept.jpg" --force "$@" >/dev/null
}

if [ -n "${QUICK:-}" ]; then
    plot $out/quick.png reference base lr steps vectors progressive regularised per-image norm pictures
    echo "The trade-off: $out/quick.png"
    rows all
    exit
fi
plot docs/study/trade-off.png reference base regularised vectors
plot docs/study/settings.png base lr steps vectors norm stop
for page in docs/study.md docs/settings.md; do fill $page; done
for concept in $concepts; do sheet "$concept"; done
