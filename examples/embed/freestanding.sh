#!/bin/sh
# Compile the library without a C library and look at what it leaves undefined.
#   freestanding.sh ROOT [-DNAME=VALUE]... SOURCE...
set -eu

[ $# -ge 2 ] || { echo "usage: $0 ROOT [-DNAME=VALUE]... SOURCE..." >&2; exit 2; }
root=$1
shift
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT INT TERM
number=0
defines=
for source; do
  case $source in
  -D*) defines="$defines $source" && continue ;;
  esac
  number=$((number + 1))
  # shellcheck disable=SC2086 # a list of words
  cc $defines -std=gnu17 -O2 -ffreestanding -nostdlib -fno-stack-protector -fno-pic \
    -I"$root/include" -I"$root/mem/include" -I"$root/lib/include" -c "$source" -o "$place/$number.o"
done
ld -r "$place"/*.o -o "$place/all.o"
# A weak symbol may stay undefined: it is null then.
undefined=$(nm -u "$place/all.o" | awk '$1 == "U" { print $2 }' | sort)
for symbol in $undefined; do
  case $symbol in
  qy_port_ram | qy_port_paddr | qy_port_relax | qy_port_cpu | qy_port_fence_cpu | qy_port_broken) ;;
  memcpy | memset | memmove | memcmp | __*di2) ;; # and the compiler's own helpers
  *)
    echo "the library needs $symbol, which port.h does not name"
    exit 1
    ;;
  esac
done
echo "undefined in the freestanding library: $(echo "$undefined" | tr "\n" " ")"
