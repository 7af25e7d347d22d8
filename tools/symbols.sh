#!/bin/sh
# Write the functions of a kernel, sorted, as lines "ADDRESS NAME", for the names in a panic's report.
#   symbols.sh NM KERNEL OUTPUT
set -eu

[ $# -eq 3 ] || { echo "usage: $0 NM KERNEL OUTPUT" >&2; exit 2; }
"$1" --defined-only --numeric-sort "$2" | awk '$2 ~ /^[tT]$/ && $3 !~ /^[.$]/ { print $1, $3 }' > "$3"
