#!/bin/sh
# SPDX-License-Identifier: MIT
# tools/install.sh install | uninstall: installs ./ti, the embedded model, the manual page and the completions
# below $DESTDIR$PREFIX, or removes exactly these files. Of the folders, uninstalling removes those of the
# embedded model that are then empty. `make install` and `make uninstall` run this script. The scripts that made
# the embedded model, in critters/make, are not installed.
set -eu
umask 022 # so that every user can read what is installed
to=${DESTDIR-}$PREFIX

model_files() { (cd weights && find critters clip -type f ! -path 'critters/make/*'); }
model_folders() { (cd weights && find critters clip -depth -type d ! -path 'critters/make' ! -path 'critters/make/*'); }
text() { # PATH WORD...: installs the output of `ti help WORD...`
    path=$to/$1
    shift
    mkdir -p "$(dirname "$path")"
    ./ti help "$@" >"$path"
}

case ${1-} in
install)
    install -D -m 755 ti "$to/bin/ti"
    model_files | while IFS= read -r file; do install -D -m 644 "weights/$file" "$to/share/ti/$file"; done
    text share/man/man1/ti.1 --man
    text share/bash-completion/completions/ti --completion bash
    text share/zsh/site-functions/_ti --completion zsh
    text share/fish/vendor_completions.d/ti.fish --completion fish
    echo "ti: installed below $to/"
    ;;
uninstall)
    rm -f "$to/bin/ti" "$to/share/man/man1/ti.1" "$to/share/bash-completion/completions/ti" \
        "$to/share/zsh/site-functions/_ti" "$to/share/fish/vendor_completions.d/ti.fish"
    model_files | while IFS= read -r file; do rm -f "$to/share/ti/$file"; done
    { model_folders | sed 's|^|/|'; echo; } | while IFS= read -r folder; do
        [ ! -d "$to/share/ti$folder" ] || rmdir --ignore-fail-on-non-empty "$to/share/ti$folder"
    done
    [ ! -d "$to/share/ti" ] || echo "ti: $to/share/ti stays, since it holds files that were not installed with ti"
    ;;
*)
    echo 'usage: tools/install.sh install | uninstall' >&2
    exit 2
    ;;
esac
