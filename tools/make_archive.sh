#!/bin/sh
# Make a boot archive (cpio, format newc) whose bytes depend on the files' names and contents only.
#   make_archive.sh OUTPUT FILE...
set -eu

[ $# -ge 2 ] || { echo "usage: $0 OUTPUT FILE..." >&2; exit 2; }
output=$1
shift

case $output in /*) ;; *) output=$PWD/$output ;; esac
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT INT TERM
for file; do
    cp "$file" "$stage/"
done
chmod 644 "$stage"/*
touch -d @0 "$stage"/*
cd "$stage"
# cpio writes the owner's number: the same for everyone.
printf '%s\n' * | LC_ALL=C sort | cpio --quiet --reproducible --owner=0:0 -o -H newc > "$output"
