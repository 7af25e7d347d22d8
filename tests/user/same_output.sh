#!/bin/sh
# Pass if a file equals what a program prints: same_output.sh FILE PROGRAM [ARGUMENT...]
set -eu

file=$1
shift
made=$(mktemp)
trap 'rm -f "$made"' EXIT INT TERM
"$@" > "$made"
if ! cmp -s "$file" "$made"; then
    diff -u "$file" "$made" | head -40 || true
    echo "$file is not what $1 prints; make it anew: $1 > $file"
    exit 1
fi
