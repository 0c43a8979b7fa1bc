#!/bin/sh
# SPDX-License-Identifier: MIT
# tools/compile_commands.sh FILE...: prints a compilation database, which tells editors and other tools how each
# file is compiled. CC is the compiler and FLAGS are its flags. `make compile_commands.json` runs this script.
set -eu
quoted() { printf '%s' "$1" | sed 's/\\/\\\\/g; s/"/\\"/g'; }
directory=$(quoted "$(pwd)") command=$(quoted "$CC $FLAGS")
separator='['
for file in "$@"; do
    printf '%s\n  { "directory": "%s", "file": "%s", "command": "%s -c %s" }' "$separator" "$directory" "$file" "$command" "$file"
    separator=','
done
printf '\n]\n'
