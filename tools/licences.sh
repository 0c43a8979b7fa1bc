#!/bin/sh
# SPDX-License-Identifier: MIT
# tools/licences.sh: lists the source files that have no line with their licence (SPDX-License-Identifier), and ends with
# status 1 if there are any. Sources are files in C, Python, shell and YAML, the Makefile and what is like it, and scripts
# whose names have no ending. Pictures, weights and other data have their licences in THIRD-PARTY.md.
list=$({
    git ls-files '*.c' '*.h' '*.py' '*.sh' '*.yml' '*Makefile' Containerfile debian/rules
    git ls-files | grep -v '[^/]\.[^/]*$' | xargs awk 'FNR == 1 && /^#!/ { print FILENAME } { nextfile }'
} | sort -u | xargs grep -L 'SPDX-License-Identifier: [A-Z]')
[ -z "$list" ] || { echo "$list"; exit 1; }
