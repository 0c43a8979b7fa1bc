#!/bin/sh
# SPDX-License-Identifier: MIT
# tests/run.sh PROGRAM...: runs test programs, JOBS at a time (by default as many as there are processors), and prints the lines of
# checks that failed, or with VERBOSE=1 all lines. The last line has the sum of their counts: "N passed, N failed".
passed=0 failed=0
# Threads that wait should sleep: on a machine that is also used for other work, spinning makes tests ten
# times slower.
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-passive}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
number=0
for program in "$@"; do
    number=$((number + 1))
    printf '%s\0%s\0' "$work/$number" "$program"
done | xargs -0 -n 2 -P "${JOBS:-$(nproc)}" sh -c '
    start=$(date +%s)
    "$2" >"$1.log" 2>&1
    echo $? >"$1.status"
    echo $(($(date +%s) - start)) >"$1.seconds"' sh
number=0
for program in "$@"; do
    number=$((number + 1))
    log=$work/$number.log status=$(cat "$work/$number.status")
    last=$(tail -n 1 "$log")
    p=$(printf '%s' "$last" | sed -n 's/^\([0-9]*\) passed, [0-9]* failed$/\1/p')
    f=$(printf '%s' "$last" | sed -n 's/^[0-9]* passed, \([0-9]*\) failed$/\1/p')
    if [ -z "$p" ] || { [ "$status" != 0 ] && [ "$f" = 0 ]; }; then
        echo "FAIL  $program ended with status $status before its count:"
        tail -n 20 "$log"
        p=$(grep -c '^ok ' "$log")
        f=$(($(grep -c '^FAIL' "$log") + 1))
    fi
    if [ -n "$VERBOSE" ]; then cat "$log"; else grep '^FAIL' "$log"; fi
    printf '%-28s %d passed, %d failed (%d s)\n' "$(basename "$program")" "$p" "$f" "$(cat "$work/$number.seconds")"
    passed=$((passed + p)) failed=$((failed + f))
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
