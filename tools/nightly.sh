#!/bin/sh
# SPDX-License-Identifier: MIT
# tools/nightly.sh [PART]...: runs the checks that take too long for every change.
#
#   valgrind    tests of a portable build under valgrind, which does not support AVX-512, so that OpenBLAS has
#               to use its kernels for AVX2
#   avx2        all tests, built for Haswell and with OpenBLAS's kernels for Haswell: the results of other
#               instructions and other roundings must agree with the same golden files
#   arm64       tests, cross-compiled with Debian's libraries for arm64 and run by qemu's user mode
#   fuzz        every fuzzer with COUNT inputs, by default 10 million
#   mutants     tests/mutate, where SEED chooses the places to change
#   goldens     golden/make.sh in a copy of the repository, and golden/compare.py, which checks that the new
#               golden files differ from those of the repository only by rounding. It takes 20 minutes. With
#               FULL=1 it includes the models at full size.
#   pairs       tests/pairs, which trains with every pair of options of ti train and prints a table
#   words       diffusers, torch and the rules of other programs read the words that ti convert writes
#               (golden/words.py check)
#
# Without arguments all parts run. They need the Debian packages valgrind, qemu-user, gcc-aarch64-linux-gnu
# and mmdebstrap. The parts goldens and words need Python; golden/make.sh installs its packages in golden/.venv unless
# VENV names the folder of another environment. Builds go to build-*/, and the log of each part to
# build-nightly/. Ends with "N passed, N failed".
set -u
cd "$(dirname "$0")/.."
work=build-nightly # a relative path, since the absolute one may have spaces, which make does not accept
jobs=$(nproc)
passed=0 failed=0
mkdir -p "$work"
export OMP_WAIT_POLICY=passive

# part NAME COMMAND...: runs one part and prints its result.
part() {
    name=$1
    shift
    if ("$@") >"$work/$name.log" 2>&1; then
        passed=$((passed + 1))
        echo "ok    $name"
    else
        failed=$((failed + 1))
        echo "FAIL  $name: $work/$name.log"
        tail -n 20 "$work/$name.log"
    fi
}

# each FOLDER 'TEST...' COMMAND...: runs the test programs of a build folder, each as the last argument of the
# command.
each() {
    folder=$1 tests=$2 status=0
    shift 2
    for test in $tests; do
        echo "== test_$test"
        "$@" "$folder/test_$test" || { echo "test_$test: exit status $?"; status=1; }
    done
    return $status
}

all_tests() { ls tests/*/test_*.c | sed 's|.*/test_||; s|\.c$||'; }

part_valgrind() {
    make -j "$jobs" MARCH= BUILD=build-portable build-portable/ti tests || return 1
    export OPENBLAS_CORETYPE=Haswell OMP_NUM_THREADS=2 TI=build-portable/ti
    each build-portable 'rng optim limits graph edges diffusion plan modules image weights options sheet state ops' \
        valgrind -q --error-exitcode=9 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite
}

part_avx2() {
    make -j "$jobs" MARCH=-march=haswell BUILD=build-haswell build-haswell/ti tests || return 1
    OPENBLAS_CORETYPE=Haswell TI=build-haswell/ti sh tests/run.sh $(all_tests | sed "s|^|build-haswell/test_|")
}

# The libraries for arm64 are unpacked into a folder, not installed.
part_arm64() {
    root=$work/arm64 build=build-arm64
    lib=$root/usr/lib/aarch64-linux-gnu
    if [ ! -e "$lib/libjansson.so" ]; then
        rm -rf "$root"
        mmdebstrap --variant=extract --architectures=arm64 \
            --include=libopenblas-dev,libjansson-dev,libutf8proc-dev,libminizip-dev,zlib1g-dev,libstb-dev,libc6-dev,libgomp1 \
            "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$root" || return 1
    fi
    C_INCLUDE_PATH=$root/usr/include/aarch64-linux-gnu/openblas-pthread:$root/usr/include:$root/usr/include/aarch64-linux-gnu \
        make -j "$jobs" CC=aarch64-linux-gnu-gcc MARCH= BUILD="$build" \
        LIBS="$lib/openblas-pthread/libopenblas.so.0 $lib/libjansson.so $lib/libutf8proc.so $lib/libminizip.so $lib/libz.so -Wl,-rpath-link,$lib -Wl,-rpath,/usr/lib/aarch64-linux-gnu/openblas-pthread -lm" \
        "$build/ti" tests || return 1
    cat >"$build/run-ti" <<'END'
#!/bin/sh
exec qemu-aarch64 -L "$(dirname "$0")/../build-nightly/arm64" "$(dirname "$0")/ti" "$@"
END
    chmod +x "$build/run-ti"
    export TI="$build/run-ti"
    each "$build" 'rng optim limits vmath graph edges diffusion sampling plan modules image weights conv ops tokenizer single folder models options sheet state' \
        qemu-aarch64 -L "$root"
}

part_fuzz() { make -j "$jobs" fuzz COUNT="${COUNT:-10000000}"; }

part_mutants() { tests/mutate --workers 2 --seed "${SEED:-7}"; }

# The golden files of the copy are deleted first, so that the comparison finds a file that no script writes any
# more. The results of models at full size are kept unless FULL is set, and so are the pictures that ti wrote.
part_goldens() {
    copy=$work/goldens kept=full_sd\*
    [ -z "${FULL:-}" ] || kept=
    rm -rf "$copy" && mkdir "$copy" || return 1
    git ls-files -z --cached --others --exclude-standard | xargs -0 cp -P --parents -t "$copy" || return 1
    find "$copy/golden" -type f ! -name '*.py' ! -name '*.sh' ! -name '*.md' ! -name requirements.txt \
        ! -name "$kept" ! -path '*/picture_text/ti.*' ! -path '*/picture_text/bare.*' -delete || return 1
    VENV=${VENV:-golden/.venv}
    case $VENV in /*) ;; *) VENV=$PWD/$VENV ;; esac # golden/make.sh works in the copy
    export VENV
    "$copy/golden/make.sh" && "$VENV/bin/python" golden/compare.py "$copy/golden"
}

part_words() {
    make -j "$jobs" build/ti && HF_HUB_OFFLINE=1 "${VENV:-golden/.venv}/bin/python" golden/words.py check build/ti
}

part_pairs() { make -j "$jobs" build/ti && tests/pairs; }

[ $# -gt 0 ] || set -- valgrind avx2 arm64 fuzz mutants goldens pairs words
for name in "$@"; do
    case $name in
    valgrind | avx2 | arm64 | fuzz | mutants | goldens | pairs | words) part "$name" "part_$name" ;;
    *) echo "usage: tools/nightly.sh [valgrind | avx2 | arm64 | fuzz | mutants | goldens | pairs | words]..." >&2 && exit 2 ;;
    esac
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
