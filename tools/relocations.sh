#!/bin/sh
# Write where a kernel holds its own addresses, so that it can be moved when it boots (kernel/boot/kaslr_image.c).
#   relocations.sh READELF KERNEL OUTPUT
# The kernel is linked with --emit-relocs and a build id. The output: a line with the build id, then sorted lines
# "OFFSET BYTES", hexadecimal: BYTES bytes at OFFSET of the image hold an address in the image. A relocation that this
# does not understand is an error: what cannot be moved must not be taken for what can.
set -eu

[ $# -eq 3 ] || { echo "usage: $0 READELF KERNEL OUTPUT" >&2; exit 2; }
if "$1" -S -W "$2" | grep -Eq ' \.got(\.plt)? +PROGBITS +[0-9a-f]+ [0-9a-f]+ 0*[1-9a-f]'; then
  echo "$0: $2 has a table of global offsets, whose addresses no relocation tells" >&2
  exit 1
fi
# A pipe has the status of its last command: what may fail stands alone.
places=$3.places
trap 'rm -f "$places" "$places.all"' EXIT
"$1" -n "$2" | sed -n 's/^ *Build ID: *\([0-9a-f]*\)$/\1/p' | grep . >"$3"
"$1" -r -W "$2" >"$places.all"
awk '
  function in_image(address) { return address ~ /^ffffffff[89]/ } # the window: 512 MiB from ffffffff80000000
  $3 ~ /^R_/ && in_image($1) {
    absolute = $3 ~ /^R_(X86_64_(64|32S?|16|8)|RISCV_(32|64|HI20|LO12_[IS]))$/
    relative = $3 ~ /^R_(X86_64_(PC|PLT)|RISCV_(PCREL|CALL|JAL|BRANCH|RVC_|ALIGN|RELAX|ADD|SUB|SET|32_PCREL))/
    if (!absolute && !relative) { print "not understood: " $0 > "/dev/stderr"; failed = 1 }
    if (!absolute || !in_image($4)) next
    if ($3 ~ /_64$/) print substr($1, 9), 8
    else if ($3 ~ /_32S$/) print substr($1, 9), 4
    else { print "cannot be moved: " $0 > "/dev/stderr"; failed = 1 }
  }
  END { exit failed }' "$places.all" >"$places"
sort "$places" | sed 's/^8/0/; t; s/^9/1/' >>"$3"
