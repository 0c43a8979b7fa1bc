#!/bin/sh
# Runs the test programs given, shows the lines that failed, and adds up their counts: "N passed, N failed".
# VERBOSE=1 shows every line.
passed=0 failed=0
# Waiting threads sleep instead of spinning: on a machine that others use too, spinning makes tests ten times slower.
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-passive}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for program in "$@"; do
    "$program" >"$log" 2>&1
    status=$?
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
    printf '%-28s %d passed, %d failed\n' "$(basename "$program")" "$p" "$f"
    passed=$((passed + p)) failed=$((failed + f))
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
