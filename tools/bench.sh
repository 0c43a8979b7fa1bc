#!/bin/sh
# SPDX-License-Identifier: MIT
# tools/bench.sh BUILD [full]: measures the speed of ti, and compares it with PyTorch when PYTHON names a
# Python with the packages of golden/requirements.txt. `make bench` runs this script. Prints the medians of
# RUNS runs (by default 5) and the ratios to PyTorch. Runs of ti and of PyTorch alternate, so
# that a change of the machine's speed affects both. Each run is a separate process, since its peak of memory is
# measured too.
#
# Without "full" it measures the embedded model and then the convolutions by themselves. With "full" it
# measures models of Stable Diffusion 1.5's size in the folders MODEL (F32) and MODEL_F16; without MODEL it
# makes both, in 7 GB of TMPDIR. Where the processor has instructions for bfloat16, it also measures with
# --precision bf16, beside PyTorch in bfloat16 as it is, with channels last, and compiled as well. ONLY is a regular
# expression, such as 'train 256', for the cases to measure.
set -eu
build=$1
runs=${RUNS:-5}
python=${PYTHON:-}
log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT
trap 'exit 1' HUP INT TERM

# The cases have five fields: task, resolution, batch size, model, precision.
if [ "${2:-}" = full ]; then
    f32=${MODEL:-} f16=${MODEL_F16:-}
    if [ -z "$f32" ]; then
        f32=$log/f32 f16=$log/f16
        "$build/make_model" --family sd15 --dtype f32 "$f32"
        "$build/make_model" --family sd15 --dtype f16 "$f16"
    fi
    cat >"$log/cases" <<END
start 512 1 f32 f32
train 512 1 f32 f32
train 512 1 f16 f32
train 256 1 f32 f32
train 256 1 f16 f32
train 256 2 f32 f32
quick 512 1 f32 f32
predict 512 1 f32 f32
encode 512 1 f32 f32
decode 512 1 f32 f32
train 512 1 f32 bf16
train 512 1 f16 bf16
train 256 1 f32 bf16
quick 512 1 f32 bf16
predict 512 1 f32 bf16
encode 512 1 f32 bf16
decode 512 1 f32 bf16
END
else
    f32=weights/critters f16=
    printf 'train 64 4 f32 f32\ndraw 64 4 f32 f32\n' >"$log/cases"
fi
[ -n "$f16" ] || sed -i '/ f16/d' "$log/cases"
"$build/bench_peak" | tee "$log/peak"
grep -q bfloat16 "$log/peak" || sed -i '/ bf16$/d' "$log/cases"
sed -i -E "/${ONLY:-.}/!d" "$log/cases"

sed -n 's/^model name[^:]*: /# /p' /proc/cpuinfo 2>/dev/null | head -n 1
"$build/bench_steps" --what encode | tee "$log/out" | grep '^#'
cores=$(sed -n 's/^# \([0-9]*\) threads.*/\1/p' "$log/out")
[ -z "$python" ] || "$python" -c 'import diffusers as d, torch as t; print("# PyTorch", t.__version__, "diffusers", d.__version__)'

# Measures the time from the start of `ti train` to its first step, with latents that an earlier run has
# cached, and with --grid-loss 0, since the fixed-grid loss before training takes time of its own.
start() {
    begin=$(date +%s.%N)
    "$build/ti" train --model "$folder" --images "$log/pictures" --token '<zog>' --init cat --resolution "$resolution" \
        --batch "$batch" --steps 1 --grid-loss 0 --no-flip --threads "$threads" --out "$log/run" --force 2>&1 >/dev/null |
        while IFS= read -r line; do
            case $line in *' steps of '*) echo "ti: first step $(date +%s.%N)" ;; esac
            echo "$line"
        done >"$log/lines"
    awk -v begin="$begin" '
    function megabytes(number, unit) { return unit ~ /^GB/ ? 1000 * number : number }
    / first step / { seconds = $4 - begin }
    / memory /     { if ($2 == "peak") peak = megabytes($4, $5); else plan = megabytes($3, $4) }
    END            { printf "start %.2f %.0f %.0f\n", seconds, plan, peak }' "$log/lines"
}

# Appends the result of a run to the log: program, threads, task, resolution, batch size, model, precision, seconds,
# the plan's memory in MB (ti only), and the peak of memory in MB.
keep() { sed -n "s/^\([a-z][a-z]*\) \([0-9.]*\)/$1 $threads \1 $resolution $batch $model $precision \2/p" "$log/out" >>"$log/all"; }

# Runs PyTorch on the present case, with further options after the name under which it is kept.
run_torch() {
    name=$1
    shift
    if "$python" golden/bench.py "$@" >"$log/out" 2>"$log/errors"; then keep "$name"; else
        echo "bench: PyTorch failed at $what, $resolution px: $(tail -n 1 "$log/errors")" >&2
    fi
}

run_case() {
    [ "$model" = f32 ] && folder=$f32 || folder=$f16
    if [ "$what" = start ]; then
        [ -d "$log/run" ] || { mkdir "$log/pictures"; cp weights/critters/concepts/grum/1.png "$log/pictures"; start >/dev/null; }
        start >"$log/out"
        keep ti
        return
    fi
    set -- --what "$what" --model "$folder" --resolution "$resolution" --batch "$batch" --threads "$threads" --precision "$precision"
    "$build/bench_steps" "$@" >"$log/out"
    keep ti
    [ -n "$python" ] && [ "$model" = f32 ] || return 0
    run_torch torch "$@"
    [ "$precision" = bf16 ] || return 0
    run_torch torch_last "$@" --channels-last
    run_torch torch_compiled "$@" --channels-last --compile
}

for round in $(seq "$runs"); do
    for threads in $cores $([ "${2:-}" = full ] || echo 1); do
        while read -r what resolution batch model precision; do
            run_case </dev/null
            [ ! -t 2 ] || printf '\rround %s of %s: %s, %s px  ' "$round" "$runs" "$what" "$resolution" >&2
        done <"$log/cases"
    done
done
[ ! -t 2 ] || echo >&2

awk -v cores="$cores" -v runs="$runs" '
function median(key,   n, i, j, t, v) {
    n = count[key]; for (i = 1; i <= n; i++) v[i] = value[key, i]
    for (i = 2; i <= n; i++) for (j = i; j > 1 && v[j] < v[j - 1]; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
    return n ? v[int((n + 1) / 2)] : 0
}
function of(who, threads, measure) { return median(who " " threads " " measure) }
function line(format, a, b) { printf "%-44s " format "\n", "", a, b }
FILENAME != cases {
    key = $1 " " $2 " " $3 " " $4 " " $5 " " $6 " " $7
    value[key, ++count[key]] = $8
    if ($1 == "ti") plan[key] = $9
    last = $(NF); if (last > peak[key]) peak[key] = last
    next
}
{
    measure = $1 " " $2 " " $3 " " $4 " " $5; ours = of("ti", cores, measure); key = "ti " cores " " measure
    printf "%-44s %8.4f s with %s threads; plan %.0f MB, peak %.0f MB\n", \
        sprintf("%s, %s px, batch %s, %s%s", label[$1], $2, $3, toupper($4), $5 == "bf16" ? ", bf16" : ""), ours, cores, plan[key], peak[key]
    if ((one = of("ti", 1, measure)) > 0 && cores > 1) line("%8.4f s with 1: %.2f x as fast", one, one / ours)
    if ((torch = best = of("torch", cores, measure)) > 0) {
        line("%8.2f x PyTorch'"'"'s time (%.4f s)", ours / torch, torch)
        for (i = 1; i <= 2; i++) if ((other = of(variant[i], cores, measure)) > 0) {
            line("%8.2f x " how[i] " (%.4f s)", ours / other, other)
            if (other < best) best = other
        }
        if ($5 == "bf16" && (other = of("torch", cores, $1 " " $2 " " $3 " " $4 " f32")) > 0 && other < best) best = other
        if ($5 == "bf16") line("%8.2f x the best of these and of PyTorch in fp32 (%.4f s)", ours / best, best)
        line("%8.2f x its peak (%.0f MB)", peak[key] / peak["torch " cores " " measure], peak["torch " cores " " measure])
    }
    if (cores > 1 && (torch = of("torch", 1, measure)) > 0)
        line("%8.2f x PyTorch'"'"'s time with 1 thread (%.4f s)", one / torch, torch)
    if ($4 == "f16" && (base = of("ti", cores, $1 " " $2 " " $3 " f32 " $5)) > 0) line("%8.2f x the time of F32 weights", ours / base)
    if ($5 == "bf16" && (base = of("ti", cores, $1 " " $2 " " $3 " " $4 " f32")) > 0) line("%8.2f x the time of --precision f32", ours / base)
    if ($3 > 1 && (base = of("ti", cores, $1 " " $2 " 1 " $4 " " $5)) > 0) line("%8.2f x the time of batch 1 per picture", ours / $3 / base)
}
BEGIN {
    cases = ARGV[2]
    variant[1] = "torch_last"; how[1] = "with channels last"
    variant[2] = "torch_compiled"; how[2] = "with channels last, compiled"
    label["train"] = "training step"; label["draw"] = "generation in 30 steps, guidance"; label["predict"] = "noise prediction"
    label["quick"] = "generation, DPM-Solver++ 2M in 10 steps, guidance"
    label["encode"] = "VAE encode"; label["decode"] = "VAE decode"; label["start"] = "start to first step"
    print "# medians of " runs
}' "$log/all" "$log/cases"
[ "${2:-}" = full ] || "$build/bench_kernels"
