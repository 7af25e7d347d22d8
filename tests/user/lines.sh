#!/bin/sh
# Pass if files have fewer lines than a number, comments and all: lines.sh NUMBER FILE...
set -eu

most=$1
shift
lines=$(cat "$@" | wc -l)
echo "$# files, $lines lines; at most $most"
[ "$lines" -lt "$most" ]
