#!/bin/sh
# SPDX-License-Identifier: MIT
# Tests `make install`, `make uninstall` and `make clean`, and builds in other folders and with other flags,
# in a source tree whose path has spaces, accents and an apostrophe. The tree is copied together with its
# build folder, so that the test compiles only single files and takes a few seconds when ti is already built.
# Run it in the root folder of the repository. Ends with "N passed, N failed".
set -u
make -s || exit 1
scratch=$(mktemp -d /tmp/ti-install.XXXXXX) # not in TMPDIR, whose path may have spaces, which BUILD may not
trap 'rm -rf "$scratch"' EXIT
tree="$scratch/Mes idées, l'été/ti copy"
mkdir -p "$tree"
cp -a Makefile ti.c build tools tests $(sed -n 's/^ROOMS *= //p' Makefile) "$tree" || exit 1 # weights/ is a room
cp -a build "$scratch/elsewhere"
cd "$tree" || exit 1
export HOME=/nonexistent # no test may need it
unset MAKEFLAGS MAKELEVEL
passed=0 failed=0

# expect NAME STATUS PATTERN COMMAND...: checks the exit status of a command, and that a line of its output
# matches the basic regular expression PATTERN unless that is empty.
expect() {
    name=$1 status=$2 pattern=$3
    shift 3
    "$@" >"$scratch/log" 2>&1
    got=$?
    if [ $got -eq "$status" ] && { [ -z "$pattern" ] || grep -q -- "$pattern" "$scratch/log"; }; then
        passed=$((passed + 1))
        echo "ok    $name"
    else
        failed=$((failed + 1))
        echo "FAIL  $name: exit status $got, not $status with a line of '$pattern'"
        tail -n 20 "$scratch/log"
    fi
}
absent() { ! [ -e "$1" ]; }
none() { ! "$@" | grep .; } # succeeds when the command prints nothing

# The program finds the embedded model wherever it was built.
elsewhere() { (cd / && "$@" tokens 'a photo'); }
compiled() { make "$@" | grep -c -e ' -o '; } # prints how many compilations make runs
expect 'a copy of a built tree compiles nothing' 1 '^0$' compiled
expect 'ti from a path with spaces' 0 '' elsewhere "$tree/ti"
expect 'build/ti from there' 0 '' elsewhere "$tree/build/ti"
expect 'a moved build folder compiles nothing' 1 '^0$' compiled BUILD="$scratch/elsewhere"
expect 'a program in a build folder elsewhere finds the model' 0 '' elsewhere "$scratch/elsewhere/ti"
rm "$scratch/elsewhere/weights/critters"
expect 'without the link to the model it says so' 1 '^ti: the embedded model is neither' elsewhere "$scratch/elsewhere/ti"

# `make uninstall` removes all files of `make install` and no others.
DESTDIR="$scratch/a root" PREFIX='/opt/My Programs'
export DESTDIR
to=$DESTDIR$PREFIX
mkdir -p "$DESTDIR/opt/My" "$to/share/ti/critters/mine" "$to/bin"
for file in "$DESTDIR/opt/My/file" "$to/share/ti/own.txt" "$to/share/ti/critters/mine/word" "$to/bin/til"; do echo x >"$file"; done
installed_files() { find "$DESTDIR" -type f | sort; }
installed_files >"$scratch/others"
(umask 077 && make install PREFIX="$PREFIX" >/dev/null) || echo "FAIL  make install"
mkdir "$scratch/cwd"
expect 'the installed ti runs' 0 '' elsewhere "$to/bin/ti"
expect 'it uses the installed model' 0 "^ti: the embedded model, $to/bin/../share/ti/critters " \
    "$to/bin/ti" evaluate --images "$to/share/ti/critters/concepts/grum" --init critter --count 1 --steps 1
for file in share/man/man1/ti.1 share/bash-completion/completions/ti share/zsh/site-functions/_ti share/fish/vendor_completions.d/ti.fish \
    share/ti/clip/merges.txt share/ti/critters/clip/model.safetensors; do
    expect "$file is installed" 0 '' [ -s "$to/$file" ]
done
expect 'the scripts that made the model are not installed' 0 '' absent "$to/share/ti/critters/make"
expect 'every user can read the installed files' 0 '' none find "$to/share/man" "$to/share/ti/clip" ! -perm -o+r
expect 'make uninstall' 0 "^ti: $to/share/ti stays" make uninstall PREFIX="$PREFIX"
installed_files >"$scratch/left"
expect "only files of other programs remain" 0 '' cmp "$scratch/others" "$scratch/left"
expect 'the folder of the model is removed' 0 '' absent "$to/share/ti/clip"
expect 'make uninstall without an installation' 0 '' make uninstall PREFIX=/nowhere
make install PREFIX=/usr >/dev/null && make uninstall PREFIX=/usr >/dev/null
expect 'folders without other files are removed' 0 '' absent "$DESTDIR/usr/share/ti"
unset DESTDIR

# Changed flags and sources cause compilation; unchanged ones do not.
object=$scratch/flags/io/utf8.o
once() { # FLAG: a new flag causes one compilation, and the same flag causes none the next time
    expect "compiled again with $1" 0 '^1$' compiled BUILD="$scratch/flags" "$1" "$object"
    expect "the same $1 compiles nothing" 1 '^0$' compiled BUILD="$scratch/flags" "$1" "$object"
}
for flag in MARCH=-march=native MARCH= 'CC=env gcc' 'CFLAGS=-std=c11 -O0 -fopenmp' SANITIZE=address,undefined WERROR=1 WARN= 'LIBS=-lm'; do
    once "$flag"
done
archive() { make -s BUILD="$scratch/flags" CFLAGS=-O0 "$scratch/flags/libtext.a" && ar t "$scratch/flags/libtext.a"; }
echo 'int extra(void); int extra(void) { return 1; }' >text/extra.c
expect 'an archive gets a new source' 0 '^extra.o$' archive
rm text/extra.c
archive >"$scratch/members"
expect 'an archive loses a removed source' 1 '' grep '^extra.o$' "$scratch/members"

# BUILD that is not a build folder, and what `make clean` removes
mkdir "$scratch/photos" out build-asan
echo x >"$scratch/photos/1.png"
expect 'make refuses to build in a folder with other files' 2 "^ti: $scratch/photos holds other things" make BUILD="$scratch/photos"
expect 'make clean keeps a folder that is not a build folder' 0 "^ti: $scratch/photos stays" make clean BUILD="$scratch/photos"
expect 'its files remain' 0 '' [ -s "$scratch/photos/1.png" ]
expect 'BUILD with a space is refused' 2 'ti: BUILD must be the name of one folder' make BUILD="$scratch/my photos"
expect 'make clean names the folders that remain' 0 '^ti: these folders remain and can be removed by hand: out/ build-asan/ build/$' make clean BUILD="$scratch/elsewhere"
expect 'the build folder elsewhere is gone' 0 '' absent "$scratch/elsewhere"
expect 'the model that it linked to remains' 0 '' [ -s weights/critters/defaults.json ]
expect 'make clean without BUILD' 0 '^ti: these folders remain and can be removed by hand: out/ build-asan/$' make clean
expect 'build and ti are gone' 0 '' eval 'absent build && absent ti'

# When packages are missing and the user has no sudo, deps.sh prints one line and installs nothing.
mkdir "$scratch/bin"
for program in tr id apt-get; do ln -s /bin/false "$scratch/bin/$program"; done
ln -sf "$(command -v tr)" "$scratch/bin/tr"
printf '#!/bin/sh\necho 1000\n' >"$scratch/bin/user" && chmod +x "$scratch/bin/user" && mv "$scratch/bin/user" "$scratch/bin/id"
sh=$(command -v sh)
expect 'packages that only root can install' 1 '^ti: building needs packages.* gcc libc6-dev libopenblas-dev libstb-dev' \
    env -i PATH="$scratch/bin" "$sh" tools/deps.sh
expect 'the message is one line' 0 '' [ "$(wc -l <"$scratch/log")" -eq 1 ]
expect 'another compiler and its OpenMP' 1 ': clang-99 libc6-dev libomp-99-dev' env -i CC=clang-99 PATH="$scratch/bin" "$sh" tools/deps.sh

# What is missing is only named unless `make deps`, `make demo` or `make test` is asked for
expect 'tools/deps.sh check names what is missing' 1 '"make deps" installs them .*: gcc libc6-dev libopenblas-dev libstb-dev' \
    env -i PATH="$scratch/bin" "$sh" tools/deps.sh check
expect 'make names it, too' 2 '"make deps" installs them .*no-such-compiler' make CC=no-such-compiler BUILD="$scratch/unbuilt"
expect 'and leaves nothing behind' 0 '' absent "$scratch/unbuilt"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
