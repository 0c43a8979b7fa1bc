#!/bin/sh
# make bench [PYTHON=python with torch]: medians and ratios on the embedded model, then the convolutions by themselves.
# Ours and PyTorch's runs take turns, so that a machine whose speed drifts slows both.
set -eu
build=$1
runs=${RUNS:-5}
python=${PYTHON:-}
log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT
sed -n 's/^model name[^:]*: /# /p' /proc/cpuinfo 2>/dev/null | head -n 1
cores=$("$build/bench_steps" 0 1 | sed -n 's/^# \([0-9]*\) threads.*/\1/p')
for round in $(seq "$runs"); do
    for threads in $cores 1; do
        "$build/bench_steps" "$threads" 1 >"$log/out"
        [ "$round" = 1 ] && grep '^#' "$log/out"
        sed -n "s/^\([a-z]*\) \([0-9.]*\).*/ti $threads \1 \2/p" "$log/out" >>"$log/all"
        [ -z "$python" ] || "$python" golden/bench.py --threads "$threads" --runs 1 2>/dev/null |
            sed "s/^\([a-z]*\) \([0-9.]*\).*/torch $threads \1 \2/" >>"$log/all"
    done
done
awk -v cores="$cores" '
function median(key,   n, i, j, t, v) {
    n = count[key]; for (i = 1; i <= n; i++) v[i] = value[key, i]
    for (i = 2; i <= n; i++) for (j = i; j > 1 && v[j] < v[j - 1]; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
    return n ? v[int((n + 1) / 2)] : 0
}
{ key = $1 " " $2 " " $3; value[key, ++count[key]] = $4 }
END {
    label["train"] = "a training step, batch 4"; label["draw"] = "4 pictures, 30 steps, guidance"
    split("train draw", names, " ")
    for (k = 1; k <= 2; k++) {
        name = names[k]; ours = median("ti " cores " " name); one = median("ti 1 " name)
        printf "%-32s %8.4f s with %s threads, %8.4f s with 1: %.2f x as fast\n", label[name], ours, cores, one, one / ours
        if (median("torch 1 " name) > 0)
            printf "%-32s %8.2f x PyTorch'"'"'s time with %s threads (%.4f s), %.2f x with 1 (%.4f s)\n", "", \
                ours / median("torch " cores " " name), cores, median("torch " cores " " name), \
                one / median("torch 1 " name), median("torch 1 " name)
    }
}' "$log/all"
"$build/bench_kernels"
