#!/bin/sh
# Prints a compilation database, which tells editors and other tools how each file is compiled: tools/compile_commands.sh FILE...,
# with the compiler in CC and its flags in FLAGS. `make compile_commands.json` runs it.
set -eu
quoted() { printf '%s' "$1" | sed 's/\\/\\\\/g; s/"/\\"/g'; }
directory=$(quoted "$(pwd)") command=$(quoted "$CC $FLAGS")
separator='['
for file in "$@"; do
    printf '%s\n  { "directory": "%s", "file": "%s", "command": "%s -c %s" }' "$separator" "$directory" "$file" "$command" "$file"
    separator=','
done
printf '\n]\n'
