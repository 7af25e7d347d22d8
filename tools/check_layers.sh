#!/bin/sh
# Refuse an include that points up. check_layers.sh [ROOT]; prints each bad include, then one line; exit 1 if any is bad.
#
#     abi <- mem <- kernel <- arch      platform -> mem's types      user -> abi, platform's parsers
#     hosted -> mem      lib alone
#     lab -> mem, platform, hosted; nothing -> lab
#
# A file may include what its layer's row names, and files of its own layer by a path in quotes; tests, proofs and tools,
# on top, take anything apart. Headers of the system are for what runs on Linux; the rest has the freestanding ones only.

set -u
cd "${1:-$(dirname "$0")/..}" || exit 2

freestanding='stdint.h stddef.h stdbool.h stdatomic.h stdarg.h stdnoreturn.h stdalign.h limits.h float.h'

# The layer of a file: the longest of these folders that holds it.
layer_of() {
  case $1 in
  include/*) echo abi ;;
  arch/include/*) echo kernel ;; # the contract is the kernel's
  arch/*) rest=${1#arch/} && echo "arch/${rest%%/*}" ;;
  */*) echo "${1%%/*}" ;;
  *) echo none ;;
  esac
}

# What a layer may include in angle brackets: prefixes of folders, and single files.
allowed() {
  case $1 in
  abi) echo "quarry/" ;;
  lib) echo "lib/ string.h" ;; # lib/string.h passes on to the system's where there is one
  mem) echo "quarry/ qy/ lib/" ;;
  platform) echo "quarry/ qy/ lib/ platform/" ;;
  kernel) echo "quarry/ qy/ lib/ platform/ kernel/ arch/ arch_types.h arch_cpu.h" ;;
  arch/*) echo "quarry/ qy/ lib/ platform/ kernel/ arch/ arch_types.h arch_cpu.h" ;;
  # the last ones: libraries out of Debian's sources (user/swap/meson.build)
  user) echo "quarry/ lib/ platform/ user/ user_arch.h user_attack.h lz4.h lz4.c mbedtls/ chacha20.c chachapoly.c poly1305.c" ;;
  hosted) echo "quarry/ qy/ lib/ platform/ hosted/ SYSTEM" ;;
  lab) echo "quarry/ qy/ lib/ platform/ hosted/ SYSTEM" ;;
  tests) echo "quarry/ qy/ lib/ platform/ kernel/ arch/ arch_types.h arch_cpu.h hosted/ user/ SYSTEM" ;;
  proofs) echo "quarry/ qy/ lib/ platform/ kernel/" ;;
  examples) echo "quarry/ qy/ lib/ SYSTEM" ;;
  bench) echo "quarry/ qy/ lib/ platform/ hosted/ SYSTEM" ;;
  tools) echo "quarry/ qy/ lib/ platform/ hosted/ kernel/ SYSTEM" ;; # generators read the tables of any layer
  *) echo "" ;;
  esac
}

ours='quarry/ qy/ lib/ platform/ kernel/ arch/ user/ hosted/'

# a/b/../c without the dots
normal_path() {
  echo "$1" | sed -e ':again' -e 's,/\./,/,; s,^\./,,; s,[^/.][^/]*/\.\./,,; t again'
}

angle_allowed() { # LAYER HEADER
  case " $freestanding " in
  *" $2 "*) return 0 ;;
  esac
  for prefix in $(allowed "$1"); do
    case $prefix in
    SYSTEM)
      # Any header that is not one of ours.
      for own in $ours; do
        case $2 in "$own"*) continue 2 ;; esac
      done
      return 0
      ;;
    */) case $2 in "$prefix"*) return 0 ;; esac ;;
    *) [ "$2" != "$prefix" ] || return 0 ;;
    esac
  done
  return 1
}

# Includes written in quotes: the file's own layer; tests and tools may take a source apart.
quote_allowed() { # LAYER FILE HEADER
  target=$(normal_path "${2%/*}/$3")
  [ -f "$target" ] || target=$3
  case $1 in
  tests | tools | proofs) return 0 ;;
  *) [ "$(layer_of "$target")" = "$1" ] ;;
  esac
}

count=0
bad=0
includes=$(mktemp) || exit 2
trap 'rm -f "$includes"' EXIT
find . -path ./build -prune -o -path ./.git -prune -o \( -name '*.[chS]' -o -name '*.ld' \) -type f -print |
  LC_ALL=C sort | xargs grep -nE '^[[:space:]]*#[[:space:]]*include' /dev/null |
  sed -E 's,^\./,,; s,^([^:]*):([0-9]+):[[:space:]]*#[[:space:]]*include(_next)?[[:space:]]*,\1 \2 ,' >"$includes"
while read -r file line header _; do
  count=$((count + 1))
  layer=$(layer_of "$file")
  case $header in
  \<*\>)
    header=${header#<}
    angle_allowed "$layer" "${header%>*}" && continue
    ;;
  \"*\")
    header=${header#\"}
    quote_allowed "$layer" "$file" "${header%\"*}" && continue
    ;;
  esac
  bad=$((bad + 1))
  echo "$file:$line: $layer must not include $header"
done <"$includes"

if [ "$count" -eq 0 ]; then
  echo "no includes found: this is not the repository"
  exit 2
fi
echo "$count includes in layers, $bad point up"
[ "$bad" -eq 0 ]
