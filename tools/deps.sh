#!/bin/sh
# SPDX-License-Identifier: MIT
# Looks for the packages that building needs: the compiler CC, OpenBLAS, stb, Jansson, utf8proc, zlib and
# minizip (docs/dependencies.md), and with MPI=1 in the environment Open MPI.
#
#   tools/deps.sh install   installs the packages that are missing
#   tools/deps.sh check     names the packages that are missing, and then ends with status 1
set -eu
action=${1:-install}
CC=${CC:-gcc} # can have several words, such as "ccache gcc"
compiler=${CC%% *}
# In Debian the package of a compiler has the name of the program. OpenMP for clang is a separate package.
case $compiler in
clang) openmp=libomp-dev ;;
clang-*) openmp=libomp-${compiler#clang-}-dev ;;
*) openmp= ;;
esac
missing() {
    command -v "$compiler" >/dev/null 2>&1 || echo "${compiler##*/}"
    for pair in stdio.h:libc6-dev ${openmp:+omp.h:$openmp} cblas.h:libopenblas-dev stb/stb_image.h:libstb-dev \
        jansson.h:libjansson-dev utf8proc.h:libutf8proc-dev zlib.h:zlib1g-dev minizip/unzip.h:libminizip-dev; do
        echo "#include <${pair%%:*}>" | $CC -E -x c - >/dev/null 2>&1 || echo "${pair#*:}"
    done
    [ -z "${MPI:-}" ] || command -v mpicc >/dev/null 2>&1 || echo libopenmpi-dev
    [ -z "${MPI:-}" ] || command -v mpirun >/dev/null 2>&1 || echo openmpi-bin
}
packages=$(missing | tr '\n' ' ')
[ -n "$packages" ] || exit 0
if [ "$action" = check ]; then
    echo "ti: building needs packages that are missing; \"make deps\" installs them (these are Debian's names): ${packages% }" >&2
    exit 1
fi
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
if ! command -v apt-get >/dev/null 2>&1 || { [ -n "$sudo" ] && ! command -v sudo >/dev/null 2>&1; }; then
    echo "ti: building needs packages that are missing, and only root can install them (these are Debian's names): $packages" >&2
    exit 1
fi
# The font of contact sheets is no reason to install anything, since there is another one, but it comes along.
packages="${packages}fonts-dejavu-core"
echo "ti: installing what building needs: $sudo apt-get install -y $packages" >&2
export DEBIAN_FRONTEND=noninteractive
{ $sudo apt-get update -qq && $sudo apt-get install -y -qq --no-install-recommends $packages; } >/dev/null || {
    echo "ti: apt-get failed; these packages are needed: $packages" >&2
    exit 1
}
