#!/bin/sh
# The laboratory's command line: command.sh PROGRAM MAPS NODES, as many as the build takes. Exit codes, where messages go, and that a report comes whole or
# not at all. It would miss a wrong figure in a report.

set -u
lab=$1
maps=$2
most_nodes=$3
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0

# expect CODE EXPRESSION ARGUMENT...: the exit code, and what standard error matches; with code 0, standard output.
expect() {
  code=$1
  expression=$2
  shift 2
  "$lab" "$@" >"$work/out" 2>"$work/err" <"$work/in"
  status=$?
  stream=err
  [ "$code" -ne 0 ] || stream=out
  if [ "$status" -ne "$code" ]; then
    echo "FAIL: $*: exit code $status, expected $code: $(head -n 1 "$work/err")"
    failed=1
  elif ! grep -Eq -- "$expression" "$work/$stream"; then
    echo "FAIL: $*: does not say: $expression; says: $(head -n 1 "$work/$stream")"
    failed=1
  elif [ "$code" -ne 0 ] && [ -s "$work/out" ]; then
    echo "FAIL: $*: prints a report although it fails"
    failed=1
  fi
}

# file NAME LINE...
file() {
  path=$work/$1
  shift
  printf '%s\n' "$@" >"$path"
}

: >"$work/in"
usable='BIOS-e820: [mem 0x0000000000100000-0x000000003fffffff] usable'
good=$maps/ring-8-nodes/dmesg

expect 0 '^usage: ' --help
expect 0 '^usage: ' map --help
expect 2 '^usage: '
expect 2 '^usage: ' mop
expect 2 'at least one file' map
expect 2 "no option '--jsn'" map "$good" --jsn
expect 2 'value is missing' map "$good" --node-of
expect 2 '32 to 52' map "$good" --phys-bits 31
expect 2 '32 to 52' map "$good" --phys-bits=53
expect 2 '32 to 52' map "$good" --phys-bits 4x
expect 2 'takes an address' map "$good" --node-of here
expect 2 'nothing-here: No such file' map "$work/nothing-here"
expect 2 'Is a directory' map "$work"
if [ "$most_nodes" -ge 8 ]; then
  nodes=8 found='node 7, zone normal$' row='^  7 .* 10$'
else # one node, which has everything
  nodes=1 found='node 0, zone normal$' row='more (CPUs|nodes) than this build has room for'
fi
expect 0 "$found" map "$good" --node-of 0x240000000
expect 0 '"usable_frames": [0-9]+,$' map "$good" --json
cp "$good" "$work/in"
expect 0 'boot log +-;' map -

file empty
: >"$work/empty"
expect 2 'empty: the file is empty' map "$work/empty"
file words 'once upon a time'
expect 2 'words: text of an unknown kind' map "$work/words"
printf 'ELF\0\0\0' >"$work/binary"
expect 2 'binary: binary data of an unknown kind' map "$work/binary"
file torn "$usable" 'BIOS-e820: [mem 0x0000000100000000-0x00000001ff'
expect 2 'torn:2: no range of memory' map "$work/torn"
file torn2 "$usable" 'BIOS-e820: [mem 0x0000000100000000-0x00000001ffffffff]'
expect 2 'torn2:2: the line ends before' map "$work/torn2"
file backwards "$usable" 'BIOS-e820: [mem 0x0000000100000000-0x00000000ffff0000] usable'
expect 2 'backwards:2: ' map "$work/backwards"
file wide 'BIOS-e820: [mem 0x0000000100000000-0x10000000000000000] usable'
expect 2 'wide:1: ' map "$work/wide"
file log 'Linux version 6.1' 'Command line: quiet'
expect 2 'log: a boot log without the firmware.s memory map' map "$work/log"
file nodes 'ACPI: SRAT: Node 0 PXM 0 [mem 0x00000000-0x7fffffff]'
expect 2 'no memory map in these files' map "$work/nodes"
file none 'BIOS-e820: [mem 0x0000000000100000-0x000000003fffffff] reserved'
expect 2 'no usable memory' map "$work/none"
file pluggable "$usable" 'SRAT: Node 0 PXM 0 [mem 0x00000000-0x7fffffff] hotplug'
expect 0 '"usable_frames": 0,$' map "$work/pluggable" --json
expect 0 'note: all memory is hot-pluggable: ' map "$work/pluggable"
expect 0 '"usable_frames": 261888,$' map "$work/pluggable" --json --use-hotplug
file hidden '00000000-00000000 : Reserved' '00000000-00000000 : System RAM' '  00000000-00000000 : Kernel code'
expect 2 'hidden: all addresses are 0: .* to root only' map "$work/hidden"
file iomem '00001000-0009ffff : System RAM' 'this is no such line'
expect 2 'iomem:2: not a line of /proc/iomem' map "$work/iomem"

# Bytes from their hexadecimal digits.
table() { # NAME DIGITS
  # printf of a POSIX shell knows octal only.
  awk 'BEGIN { d = "0123456789abcdef" }
       { for (i = 1; i < length($0); i += 2)
           printf "\\%03o", 16 * (index(d, substr($0, i, 1)) - 1) + index(d, substr($0, i + 1, 1)) - 1 }' "$2" >"$work/octal"
  # shellcheck disable=SC2059 # the format is the bytes
  printf "$(cat "$work/octal")" >"$work/$1"
}
table SRAT "$maps/ring-8-nodes/SRAT.hex"
table SLIT "$maps/ring-8-nodes/SLIT.hex"
table dtb "$maps/riscv-1-node/dtb.hex"
expect 0 "$row" map "$good" "$work/SRAT" "$work/SLIT"
expect 2 'no memory map in these files' map "$work/SRAT"
expect 2 'SRAT: a second SRAT' map "$good" "$work/SRAT" "$work/SRAT"
head -c 100 "$work/SRAT" >"$work/short"
expect 2 'short: an ACPI table that is cut off' map "$good" "$work/short"
{ head -c 60 "$work/SRAT" && printf '\377' && tail -c +62 "$work/SRAT"; } >"$work/sum"
expect 2 'sum: an ACPI table with a wrong checksum' map "$good" "$work/sum"
{ printf 'APIC' && tail -c +5 "$work/SRAT"; } >"$work/madt"
expect 2 'madt: an ACPI table of the kind APIC' map "$good" "$work/madt"
expect 0 'device tree' map "$work/dtb"
expect 2 'device tree and from ACPI' map "$work/dtb" "$work/SRAT"
head -c 200 "$work/dtb" >"$work/shorttree"
expect 2 'shorttree: device tree: ' map "$work/shorttree"

# A report that cannot be written is a failure.
if [ -c /dev/full ]; then
  "$lab" map "$good" >/dev/full 2>"$work/err" </dev/null
  status=$?
  [ "$status" -eq 1 ] || { echo "FAIL: a full disk: exit code $status, expected 1" && failed=1; }
fi
# Any reader of JSON takes the report, names of files that are no text included.
if [ -x /usr/bin/python3 ]; then
  cp "$good" "$work/a\"b\\c$(printf '\377\001')d"
  "$lab" map "$work"/a*d --json | /usr/bin/python3 -c '
import json, sys
nodes = int(sys.argv[1])
r = json.load(sys.stdin)
assert r["usable_frames"] == sum(z["frames"] for z in r["zones"]) == sum(n["frames"] for n in r["nodes"])
assert r["usable_frames"] * 4096 + r["lost"]["bytes"] == r["firmware_bytes"]["usable"]
assert len(r["nodes"]) == nodes and all(len(n["distances"]) == nodes for n in r["nodes"])
' "$nodes" || { echo "FAIL: the JSON report is none, or does not add up" && failed=1; }
fi

[ "$failed" -eq 0 ] && echo "all as expected"
exit "$failed"
