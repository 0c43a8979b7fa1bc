#!/bin/sh
# make install, uninstall and clean, builds in other folders and with other flags, in a tree whose path has spaces,
# accents and an apostrophe. The tree is a copy together with its build folder, so that only single objects are compiled:
# a few seconds where ti is built already. Run from the repository's root; ends with "N passed, N failed".
set -u
make -s || exit 1
scratch=$(mktemp -d /tmp/ti-install.XXXXXX) # not in TMPDIR, whose name may have spaces, which BUILD may not
trap 'rm -rf "$scratch"' EXIT
tree="$scratch/Mes idées, l'été/ti copy"
mkdir -p "$tree"
cp -a Makefile ti.c build tools tests $(sed -n 's/^ROOMS *= //p' Makefile) "$tree" || exit 1 # weights/ is a room
cp -a build "$scratch/elsewhere"
cd "$tree" || exit 1
export HOME=/nonexistent # nothing needs it
unset MAKEFLAGS MAKELEVEL
passed=0 failed=0

# expect NAME STATUS PATTERN COMMAND...: the exit status and a line of the output (a basic regular expression, "" for any)
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
none() { ! "$@" | grep .; } # a command that writes nothing

# The embedded model from wherever the program was built
elsewhere() { (cd / && "$@" tokens 'a photo'); }
compiled() { make "$@" | grep -c -e ' -o '; } # how many commands of the compiler make runs
expect 'a copy of a built tree compiles nothing' 1 '^0$' compiled
expect 'ti from a path with spaces' 0 '' elsewhere "$tree/ti"
expect 'build/ti from there' 0 '' elsewhere "$tree/build/ti"
expect 'a moved build folder compiles nothing' 1 '^0$' compiled BUILD="$scratch/elsewhere"
expect 'a program in a build folder elsewhere finds the model' 0 '' elsewhere "$scratch/elsewhere/ti"
rm "$scratch/elsewhere/weights/critters"
expect 'and not without the link' 1 '^ti: the embedded model is neither' elsewhere "$scratch/elsewhere/ti"

# install and uninstall: strangers' files stay, and nothing else does
DESTDIR="$scratch/a root" PREFIX='/opt/My Programs'
export DESTDIR
to=$DESTDIR$PREFIX
mkdir -p "$DESTDIR/opt/My" "$to/share/ti/critters/mine" "$to/bin"
for file in "$DESTDIR/opt/My/file" "$to/share/ti/own.txt" "$to/share/ti/critters/mine/word" "$to/bin/til"; do echo x >"$file"; done
files() { find "$DESTDIR" -type f | sort; }
files >"$scratch/strangers"
(umask 077 && make install PREFIX="$PREFIX" >/dev/null) || echo "FAIL  make install"
mkdir "$scratch/cwd"
expect 'the installed ti runs' 0 '' elsewhere "$to/bin/ti"
expect 'on the installed model' 0 "^ti: the embedded model, $to/bin/../share/ti/critters " \
    "$to/bin/ti" evaluate --images "$to/share/ti/critters/concepts/grum" --init critter
for file in share/man/man1/ti.1 share/bash-completion/completions/ti share/zsh/site-functions/_ti share/ti/clip/merges.txt; do
    expect "$file is installed" 0 '' [ -s "$to/$file" ]
done
expect 'all may read it, whatever the umask' 0 '' none find "$to/share/man" "$to/share/ti/clip" ! -perm -o+r
expect 'make uninstall' 0 "^ti: $to/share/ti stays" make uninstall PREFIX="$PREFIX"
files >"$scratch/left"
expect "strangers' files stay and no other" 0 '' cmp "$scratch/strangers" "$scratch/left"
expect 'and no folder of ours' 0 '' absent "$to/share/ti/clip"
expect 'make uninstall where nothing is' 0 '' make uninstall PREFIX=/nowhere
make install PREFIX=/usr >/dev/null && make uninstall PREFIX=/usr >/dev/null
expect 'no folder stays where all files were ours' 0 '' absent "$DESTDIR/usr/share/ti"
unset DESTDIR

# Other flags and other sources build anew, the same ones do not
object=$scratch/flags/io/utf8.o
once() { # FLAG: one compilation with it, and none when it is given again
    expect "built anew with $1" 0 '^1$' compiled BUILD="$scratch/flags" "$1" "$object"
    expect "and not again" 1 '^0$' compiled BUILD="$scratch/flags" "$1" "$object"
}
for flag in MARCH=-march=native MARCH= 'CC=env gcc' 'CFLAGS=-std=c11 -O0 -fopenmp' SANITIZE=address,undefined WERROR=1 WARN= 'LIBS=-lm'; do
    once "$flag"
done
archive() { make -s BUILD="$scratch/flags" CFLAGS=-O0 "$scratch/flags/libtext.a" && ar t "$scratch/flags/libtext.a"; }
echo 'int extra(void); int extra(void) { return 1; }' >text/extra.c
expect 'an archive has all sources' 0 '^extra.o$' archive
rm text/extra.c
archive >"$scratch/members"
expect 'and none that has gone' 1 '' grep '^extra.o$' "$scratch/members"

# BUILD that is no build folder, and what make clean takes away
mkdir "$scratch/photos" out build-asan
echo x >"$scratch/photos/1.png"
expect 'make builds nothing among other things' 2 "^ti: $scratch/photos holds other things" make BUILD="$scratch/photos"
expect 'make clean leaves what is no build folder' 0 "^ti: $scratch/photos stays" make clean BUILD="$scratch/photos"
expect 'with all that is in it' 0 '' [ -s "$scratch/photos/1.png" ]
expect 'BUILD with a space is refused' 2 'ti: BUILD must be the name of one folder' make BUILD="$scratch/my photos"
expect 'make clean says what stays' 0 '^ti: these stay, remove them by hand: out/ build-asan/ build/$' make clean BUILD="$scratch/elsewhere"
expect 'the build folder elsewhere is gone' 0 '' absent "$scratch/elsewhere"
expect 'the model that it had links to is not' 0 '' [ -s weights/critters/defaults.json ]
expect 'make clean without BUILD' 0 '^ti: these stay, remove them by hand: out/ build-asan/$' make clean
expect 'build and ti are gone' 0 '' eval 'absent build && absent ti'

# What is missing, where a user without sudo cannot install it: one line, and nothing is tried
mkdir "$scratch/bin"
for program in tr id apt-get; do ln -s /bin/false "$scratch/bin/$program"; done
ln -sf "$(command -v tr)" "$scratch/bin/tr"
printf '#!/bin/sh\necho 1000\n' >"$scratch/bin/user" && chmod +x "$scratch/bin/user" && mv "$scratch/bin/user" "$scratch/bin/id"
sh=$(command -v sh)
expect 'packages that only root can install' 1 '^ti: building needs packages.* gcc libc6-dev libopenblas-dev libstb-dev' \
    env -i PATH="$scratch/bin" "$sh" tools/deps.sh
expect 'in one line' 0 '' [ "$(wc -l <"$scratch/log")" -eq 1 ]
expect 'another compiler and its OpenMP' 1 ': clang-99 libc6-dev libomp-99-dev' env -i CC=clang-99 PATH="$scratch/bin" "$sh" tools/deps.sh

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
