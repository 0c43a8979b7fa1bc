#!/bin/sh
# SPDX-License-Identifier: MIT
# tools/verification.sh TEST-PROGRAM...: runs test programs and writes docs/verification.md, which lists what
# the tests check, the errors that they measure, and the lines of the program that they run. COVERAGE is the
# folder of a separate build for gcov. `make verification` runs this script.
set -eu
coverage=${COVERAGE:-build-coverage}
page=docs/verification.md
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for program in "$@"; do
    test=$(basename "$program" | sed 's/^test_//')
    echo "test_$test" >&2
    "$program" >"$work/$test.log" 2>&1 || { grep -v '^ok' "$work/$test.log" >&2; exit 1; }
    sed "s/^/$test|/" "$work/$test.log" >>"$work/all"
done

# Prints what a test is for: the first comment in tests/KIND/test_NAME.c, or in tests/fuzz/fuzz.c for the
# fuzzers.
purpose() {
    source=$(ls tests/*/"test_$1.c" 2>/dev/null || echo "tests/$1/$1.c")
    awk '/SPDX-License-Identifier/ { next } /^\/\*/ { on = 1 } on { print } /\*\/ *$/ || (on && /^$/) { exit }' "$source" |
        sed 's|^/\* *||; s|\*/ *$||; s/^ *//' | tr '\n' ' ' | sed 's/  *$//; s/|/\\|/g; s/:$/./'
}

# Converts the lines of checks with an error to PROGRAM, CHECK, KIND, ERROR, BOUND, TORCH, separated by tabs.
# TORCH, the error of PyTorch's own fp32, is empty where it is not known.
numbers() {
    awk -F'|' '
        {
            program = $1; line = substr($0, length($1) + 2); torch = ""
            if (match(line, / [0-9.e+-]+ at \[[0-9, ]*\]  tol /)) {
                split(substr(line, RSTART + 1), field, " "); error = field[1]
                rest = line; sub(/.*  tol /, "", rest); split(rest, word, " "); bound = word[1]
                if (word[2] == "torch") torch = word[3]
            } else if (match(line, / [0-9.e+-]+  bound /)) {
                split(substr(line, RSTART + 1), word, " "); error = word[1]; bound = word[3]
            } else next
            name = substr(line, 7, RSTART - 7); sub(/ +$/, "", name)
            if (match(name, / \(torch with 1 thread: [0-9.e+-]+\)/)) {
                torch = substr(name, RSTART + 23, RLENGTH - 24); name = substr(name, 1, RSTART - 1)
            }
            kind = ""
            if (torch != "") {
                last = name; sub(/.*[.\/]/, "", last)
                kind = last ~ /^d[a-z]*[0-9]?$/ && last != "decoded" ? "backward" : "forward"
                sub(/[.\/].*/, "", name)
            } else {
                if (program == "vmath" && split(name, word, ", ") > 2) name = word[1] ", " word[2]
                if (program == "loop" || program == "ops" || program == "conv") sub(/.*\./, "", name)
                sub(/^linear .* /, "linear ", name)
                sub(/^schedule.*/, "learning rates of all schedules", name)
                if (program == "gradcheck") name = "directional derivatives"
                sub(/, (seed|batch) [0-9]+$/, "", name)
            }
            print program "\t" name "\t" kind "\t" error "\t" bound "\t" torch
        }' "$work/all"
}
numbers >"$work/numbers"

against_torch() {
    awk -F'\t' '
        $6 != "" {
            row = $1 "\t" $2
            if (!(row in count)) order[++rows] = row
            count[row]++
            if (!((row, $3) in error) || $4 + 0 > error[row, $3] + 0) error[row, $3] = $4
            if (!((row, $3) in torch) || $6 + 0 > torch[row, $3] + 0) torch[row, $3] = $6
            if ($5 + 0 > bound[row] + 0) bound[row] = $5
        }
        END {
            for (i = 1; i <= rows; i++) {
                row = order[i]; split(row, part, "\t")
                printf "| %s | %s | %d | %s | %s | %s | %s | %s |\n", part[1], part[2], count[row], error[row, "forward"],
                    torch[row, "forward"], error[row, "backward"], torch[row, "backward"], bound[row]
            }
        }' "$work/numbers"
}

by_themselves() {
    awk -F'\t' '
        $6 == "" && $2 !~ /^seconds/ {
            row = $1 "\t" $2
            if (!(row in count)) order[++rows] = row
            count[row]++
            if (!(row in error) || $4 / $5 > error[row] / bound[row]) { error[row] = $4; bound[row] = $5 }
        }
        END {
            for (i = 1; i <= rows; i++) {
                row = order[i]; split(row, part, "\t")
                printf "| %s | %s | %d | %s | %s |\n", part[1], part[2], count[row], error[row], bound[row]
            }
        }' "$work/numbers"
}

pictures() {
    sed -n 's/^picture|ok *\([^ ]*\) .*largest difference \([0-9]*\), \([0-9]* of [0-9]*\) values differ  torch \([0-9]*\)$/| \1 | \2 | \3 | \4 |/p' \
        "$work/all"
}

programs() {
    for program in "$@"; do
        test=$(basename "$program" | sed 's/^test_//')
        printf '| `%s` | %d | %d | %s |\n' "$(basename "$program")" "$(grep -c '^ok ' "$work/$test.log")" \
            "$(grep -c '^ok .* the same ' "$work/$test.log" || true)" "$(purpose "$test")"
    done
}

# Builds with gcov, runs all tests, and prints gcov's text of all sources of the program.
cover() {
    flags='-std=c11 -O1 $(MARCH) -fno-math-errno -fno-trapping-math -ffp-contract=off -fopenmp --coverage'
    find "$coverage" -name '*.gcda' -delete 2>/dev/null || true
    make -s BUILD="$coverage" CFLAGS="$flags" "$coverage/ti" tests >&2
    for program in "$@"; do
        case $program in *test_failures | *test_bad_input) continue ;; esac # these also make gcov's own files fail
        QUICK=1 TI="$coverage/ti" "$coverage/$(basename "$program")" >/dev/null 2>&1 || { echo "$program fails with gcov" >&2; exit 1; }
    done
    find "$coverage" -name '*.gcno' ! -path '*/tests/*' -print0 | sort -z | xargs -0 gcov -t 2>/dev/null
}
cover "$@" >"$work/gcov"

# Converts gcov's text to FILE, LINE, RUN (0 or 1), FUNCTION, TEXT, separated by tabs. A line of gcov is
# COUNT:LINE:TEXT, where COUNT is "-" for a line without code and "#####" for one that never ran. A header
# occurs once for each file that includes it, and a line of it counts as run when any of these files runs it.
lines() {
    awk -F: '
        / 0:Source:/ { file = $0; sub(/.*:Source:/, "", file); name = ""; next }
        file ~ /^\// { next }
        {
            count = $1; gsub(/ /, "", count); text = $0; sub(/^[^:]*:[^:]*:/, "", text)
            if (text ~ /^[A-Za-z_].*[a-z_0-9]\(/) { name = text; sub(/\(.*/, "", name); sub(/.*[ *]/, "", name) }
            if (count == "-" || $2 + 0 == 0) next
            key = file "\t" ($2 + 0)
            if (!(key in run)) { run[key] = 0; order[++n] = key; where[key] = name; code[key] = text }
            if (count !~ /^[#=]/) run[key] = 1
        }
        END { for (i = 1; i <= n; i++) print order[i] "\t" run[order[i]] "\t" where[order[i]] "\t" code[order[i]] }' "$work/gcov" |
        sort -t"$(printf '\t')" -k1,1 -k2,2n
}
lines >"$work/lines"

coverage_table() {
    awk -F'\t' '
        { all[$1]++; run[$1] += $3; total++; ran += $3 }
        END {
            for (file in all) {
                folder = file; if (!sub(/\/[^\/]*$/, "", folder)) folder = "."
                if (all[file] == run[file]) { whole[folder]++; lines[folder] += all[file] }
                else printf "| %s | %d | %d | %.1f %% |\n", file, all[file], run[file], 100 * run[file] / all[file] | "sort"
            }
            close("sort")
            for (folder in whole)
                printf "| %s/, files with all lines run: %d | %d | %d | 100 %% |\n", folder, whole[folder], lines[folder], lines[folder] | "sort"
            close("sort")
            printf "| **all** | **%d** | **%d** | **%.1f %%** |\n", total, ran, 100 * ran / total
        }' "$work/lines"
}

# Lists the ranges of lines that never ran, one line per file, each with its function and a guess at the reason.
uncovered() {
    awk -F'\t' '
        { size[$1, $4]++; ran[$1, $4] += $3; key[NR] = $1 SUBSEP $4; file[NR] = $1; line[NR] = $2; run[NR] = $3; name[NR] = $4; text[NR] = $5 }
        function why(t, k) {
            if (!ran[k]) return "no test calls it"
            if (t ~ /memory|mapped/) return "memory runs out"
            if (t ~ /check_failed|abort|CHECK failed/) return "a CHECK that fails"
            if (t ~ /messages_add|json_fault|scan_fail|warnings,|errors,/) return "a message"
            gsub(/^ +| +$/, "", t); gsub(/\|/, "\\|", t)
            return "`" (length(t) > 60 ? substr(t, 1, 57) "..." : t) "`"
        }
        END {
            for (i = 1; i <= NR; i++) {
                if (run[i]) continue
                first = i; t = ""
                while (i <= NR && !run[i] && key[i] == key[first]) t = t text[i++]
                i--
                reason = why(t, key[first])
                range = line[first] == line[i] ? line[first] : line[first] "-" line[i]
                printf "%s%s `%s` %s (%s)", file[first] == last ? "; " : (last == "" ? "" : "\n") "- " file[first] ": ", range, name[first], "", reason
                last = file[first]
            }
            print ""
        }' "$work/lines" | sed 's/`  (/` (/g'
}

# The line of tests/mutants.md with the results of the last run
mutants=$(sed -n '/^[0-9]* of [0-9]* caught/p' tests/mutants.md)

{
    cat <<TEXT
# Verification

This page is written by \`make verification\` from a run of all tests. Every number of a result is compared
either with the result of PyTorch, diffusers, transformers or Pillow ([golden/](../golden/README.md) has the
scripts and their versions), or with an independent computation. An error is max |a - b| / max |b| over a
tensor, and the tables give the largest error of each kind.

| test | checks | exact to the bit | contents |
|---|---|---|---|
$(programs "$@")

## Against PyTorch

The reference results are computed in float64 on the same inputs and weights, and rounded once. Beside each
error stands that of PyTorch's own fp32. The rows of \`loop\` compare learned vectors after whole runs with
PyTorch's fp32, relative to the distance that the vectors travelled; beside them stands the difference between
PyTorch with one thread and with two.

| test | what | checks | forward | PyTorch | backward | PyTorch | tolerance |
|---|---|---|---|---|---|---|---|
$(against_torch)

Generated pictures, with differences of 8-bit values:

| picture | largest difference | values that differ | PyTorch, one thread against two |
|---|---|---|---|
$(pictures)

## Against independent computations

These are sums in double precision, adjoints, finite differences, and numbers as PyTorch prints them.

| test | what | checks | largest error | bound |
|---|---|---|---|---|
$(by_themselves)

## Mutants

\`tests/mutate\` changes one constant, index, sign, comparison or \`reads\` flag of the code at a time, and
checks whether a test fails.
${mutants:+$mutants
}[mutants.md](../tests/mutants.md) explains the changes that no test can detect.

## Lines that the tests run

| file | lines | run | |
|---|---|---|---|
$(coverage_table)

These lines are not run:

$(uncovered)
TEXT
} >"$page.tmp"
mv "$page.tmp" "$page"
echo "$page: $(wc -l <"$page") lines" >&2
