#!/bin/sh
# SPDX-License-Identifier: MIT
# Tests `ti train` as 1, 2 and 3 ranks on one machine: they end with the same bytes as one process, a rank that is killed,
# stopped or loses its weights ends the run with its state saved, and ranks with other inputs are refused. It needs
# Open MPI (`make deps MPI=1`), builds ti with and without it, and takes about a minute. Ends with "N passed, N failed".
set -u
[ $# = 0 ] || { echo "usage: sh tests/ranks.sh" >&2; exit 2; }
make -s build/ti && make -s MPI=1 BUILD=build-mpi build-mpi/ti build-mpi/bench_ranks || exit 1
# As root, in a container, with more ranks than cores and no ssh
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_btl_vader_single_copy_mechanism=none OMPI_MCA_plm_rsh_agent=sh
export OMP_WAIT_POLICY=passive
scratch=$(mktemp -d /tmp/ti-ranks.XXXXXX)
trap 'rm -rf "$scratch"' EXIT
alone=build/ti ti=build-mpi/ti host=$(hostname)
passed=0 failed=0

# verdict NAME STATUS [DETAIL]: counts a check, which holds when STATUS is 0.
verdict() {
    if [ "$2" = 0 ]; then
        passed=$((passed + 1))
        echo "ok    $1"
    else
        failed=$((failed + 1))
        echo "FAIL  $1 ${3-}"
        [ ! -s "$scratch/err" ] || tail -n 30 "$scratch/err"
    fi
}
# Whether standard error has exactly one line that begins with this text.
said() { [ "$(grep -c "^ti: $1" "$scratch/err")" = 1 ]; }
# Compares the files of two runs that hold all their numbers.
same() {
    for file in learned_embeds.safetensors losses.csv run.state; do cmp "$scratch/$1/$file" "$scratch/$2/$file" || return 1; done
}

cp -r golden/models/narrow "$scratch/model"
cp -r golden/masked_pictures "$scratch/pictures"
echo 'a {} at sea' >"$scratch/pictures/a.txt"
echo 'my {}' >"$scratch/pictures/b.txt"
inputs="--model $scratch/model --images $scratch/pictures --token <x> --init a --resolution 16"

# Whole runs. `several` has all that could differ between ranks; its last batch of an epoch has two examples.
several="$inputs --vectors 2 --batch 5 --repeats 6 --accumulate 2 --steps 12 --captions --masks --min-snr 5 --regularise 2
 --progressive 4 --per-image 0.5 --grid-loss 4 --validation-prompt <x> --validation-every 4 --sampling-steps 2"
bf16="$inputs --batch 4 --repeats 3 --steps 6 --precision bf16 --stop auto --schedule cosine --warmup 1"
for case in several bf16; do
    eval "options=\$$case"
    $alone train $options --one-by-one --threads 1 --out "$scratch/$case" >/dev/null 2>"$scratch/err"
    verdict "$case, without MPI" $?
    for n in 1 2 3 8; do
        mpirun -n $n $ti train $options $([ $n -gt 1 ] || echo --one-by-one) --threads 2 --out "$scratch/$n" \
            >"$scratch/out" 2>"$scratch/err"
        verdict "$case, $n ranks" $?
        verdict "$case, $n ranks print what one prints" "$([ "$(grep -c "/x.safetensors$" "$scratch/out")" = 1 ] && said "peak memory"; echo $?)"
        same $case $n
        verdict "$case, $n ranks have the same bytes" $?
        rm -r "${scratch:?}/$n"
    done
done

# A long run that is stopped in every way, and is continued by another number of ranks each time.
long="$inputs --batch 4 --repeats 50 --steps 900 --grid-loss 0 --checkpoint-every 0 --threads 1"
$alone train $long --one-by-one --out "$scratch/whole" >/dev/null 2>"$scratch/err"
verdict "the long run, without MPI" $?

rank_pid() { # the process of rank $1
    for process in /proc/[0-9]*; do
        grep -qzx "OMPI_COMM_WORLD_RANK=$1" "$process/environ" 2>/dev/null && grep -qz "^$scratch" "$process/cmdline" 2>/dev/null &&
            echo "${process#/proc/}"
    done
}
lines() { { wc -l <"$scratch/run/losses.csv"; } 2>/dev/null || echo 0; }
# begin RANKS...: starts mpirun with these arguments, and waits until the run has gone on for a while.
begin() {
    first=$(lines)
    mpirun "$@" >"$scratch/out" 2>"$scratch/err" &
    mpirun=$!
    tries=0
    until [ "$(lines)" -gt $((first + 20)) ] || [ $tries -gt 500 ]; do
        tries=$((tries + 1))
        sleep 0.02
    done
}
# ended NAME STATUS TEXT: waits until mpirun ends, which may take ten seconds. Its exit status and one line must be these,
# and the run must have a state.
ended() {
    start=$(date +%s)
    wait $mpirun
    status=$?
    took=$(($(date +%s) - start))
    verdict "$1: ends within seconds" "$([ $took -le 11 ]; echo $?)" "$took s"
    verdict "$1: exit status" "$([ $status = "$2" ]; echo $?)" "$status"
    [ -z "$3" ] || { said "$3"; verdict "$1: names it" $?; }
    verdict "$1: the state is saved" "$([ -s "$scratch/run/run.state" ]; echo $?)"
    verdict "$1: no rank is left" "$([ -z "$(rank_pid 0)$(rank_pid 1)$(rank_pid 2)" ]; echo $?)"
}
resume="train --resume --out $scratch/run --threads 1"
begin -n 3 $ti train $long --out "$scratch/run"
kill -9 "$(rank_pid 1)"
ended "a killed rank" 137 "rank 1 on $host has ended or hangs: it has not answered for "
begin -n 2 $ti $resume
kill -STOP "$(rank_pid 1)"
ended "a stopped rank" 1 "rank 1 on $host has ended or hangs: it has not answered for 8"
begin -n 3 $ti $resume
kill -9 "$(rank_pid 0)"
ended "rank 0 killed" 137 "rank 0 on $host has ended or hangs: it has not answered for "
begin -n 2 $ti $resume
kill -STOP "$(rank_pid 0)"
ended "rank 0 stopped" 1 "rank 0 on $host has ended or hangs: it has not answered for "
cp -r "$scratch/model" "$scratch/lost"
unet=$scratch/lost/unet/$(basename "$scratch"/lost/unet/*.safetensors)
begin -n 2 $ti $resume : -n 1 $ti $resume --model "$scratch/lost"
: >"$unet"
ended "a rank that loses its weights" 1 "rank 2 on $host "
rm -r "$scratch/lost"
cp -r "$scratch/model" "$scratch/lost"
begin -n 1 $ti $resume : -n 1 $ti $resume --model "$scratch/lost"
touch "$unet"
ended "a rank whose weights are touched" 1 "rank 1 on $host has failed: $unet: "
begin -n 2 $ti $resume
kill -TERM $mpirun
ended "mpirun is stopped" 1 "stopped at step "
begin -n 2 $ti $resume
kill -INT "$(rank_pid 0)"
ended "rank 0 gets a signal" 130 "stopped at step "
$alone $resume >/dev/null 2>"$scratch/err"
verdict "one process without MPI goes on to the end" $?
same whole run
verdict "and has the same bytes as without a stop" $?
mpirun -n 2 $ti $resume >/dev/null 2>"$scratch/err"
verdict "it is finished" "$(said ".* is finished: all its 900 steps are done"; echo $?)"

# The same without a signal and without a run: a rank that does nothing, although it lives
mpirun -n 2 build-mpi/bench_ranks 8 768 hang >/dev/null 2>"$scratch/err"
verdict "a rank that does nothing" "$([ $? = 1 ] && said "rank 1 on $host hangs: it has computed nothing for 10 seconds"; echo $?)"

# Ranks that differ are refused before anything is written.
refuse() { # refuse NAME STATUS TEXT ARGUMENTS...
    name=$1 expected=$2 text=$3
    shift 3
    mpirun "$@" >"$scratch/out" 2>"$scratch/err"
    status=$?
    said "$text" && [ $status = "$expected" ] && [ ! -e "$scratch/new" ]
    verdict "$name" $? "exit status $status"
}
train="$ti train --token <x> --init a --resolution 16 --steps 4 --batch 4 --grid-loss 0 --out $scratch/new"
model="--model $scratch/model" pictures="--images $scratch/pictures"
cp -r "$scratch/pictures" "$scratch/others"
cp "$scratch/others/b.png" "$scratch/others/a.png"
cp -r "$scratch/model" "$scratch/unet"
dd if=/dev/zero of="$scratch/unet/unet/${unet##*/}" bs=1k seek=200 count=80 conv=notrunc 2>/dev/null
cp -r "$scratch/model" "$scratch/schedule"
sed -i 's/"beta_end": *[0-9.]*/"beta_end": 0.02/' "$scratch/schedule/scheduler/scheduler_config.json"
cp $ti "$scratch/ti"
printf '\001' | dd of="$scratch/ti" bs=1 seek=12 conv=notrunc 2>/dev/null # a byte of the header that nothing reads
cp -r "$scratch/pictures" "$scratch/captions"
echo 'her {}' >"$scratch/captions/b.txt"
refuse "other pictures" 1 "rank 1 on $host has other pictures or masks than rank 0" \
    -n 1 $train $model $pictures : -n 1 $train $model --images "$scratch/others"
refuse "other captions" 1 "rank 2 on $host has other captions or templates than rank 0" \
    -n 2 $train $model $pictures --captions : -n 1 $train $model --captions --images "$scratch/captions"
for other in unet schedule; do
    refuse "another $other" 1 "rank 1 on $host has another model than rank 0" \
        -n 1 $train $model $pictures : -n 1 $train --model "$scratch/$other" $pictures
done
refuse "another build" 1 "rank 1 on $host has another build of ti than rank 0" \
    -n 1 $train $model $pictures : -n 1 "$scratch/ti" ${train#"$ti"} $model $pictures
refuse "other options" 1 "rank 1 on $host has other options than rank 0" -n 1 $train $model $pictures : -n 1 $train $model $pictures --seed 1
refuse "no pictures" 1 "rank 1 on $host has failed: $scratch/none: " -n 1 $train $model $pictures : -n 1 $train $model --images "$scratch/none"
refuse "no pictures anywhere" 1 "$scratch/none: " -n 3 $train $model --images "$scratch/none"
refuse "wrong usage" 2 "--batch" -n 3 $train $model $pictures --batch 0
$alone train ${train#*train} $model $pictures --out "$scratch/old" >/dev/null 2>"$scratch/err"
refuse "a run that began without --one-by-one" 1 "--one-by-one: is off in " -n 2 $ti train --resume --steps 8 --out "$scratch/old"
refuse "--dump" 1 "--dump: writes the tensors of a whole batch" -n 2 $train $model $pictures --dump "$scratch/dump"
mpirun -n 3 $train $model $pictures --batch 2 --dry-run >"$scratch/out" 2>"$scratch/err"
verdict "--dry-run" "$(grep -c 'in all$' "$scratch/out" | grep -qx 1; echo $?)"
verdict "more ranks than pictures" "$(said "warning: --batch 2: is less than the number of ranks"; echo $?)"

echo "$passed passed, $failed failed"
[ $failed = 0 ]
