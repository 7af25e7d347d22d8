#!/bin/sh
# The layers' check refuses what points up, and takes what points down. It would miss a check that finds nothing.

set -u
root=$(cd "$(dirname "$0")/../.." && pwd -P)
tree=$(mktemp -d) || exit 1
trap 'rm -rf "$tree"' EXIT
failed=0

put() { # FILE LINE
  mkdir -p "$tree/${1%/*}"
  printf '%s\n' "$2" >"$tree/$1"
}

# expect STATUS FILE LINE: the check's exit status for a tree with this one file beside a good one.
expect() {
  put include/quarry/good.h '#include <stdint.h>'
  put "$2" "$3"
  sh "$root/tools/check_layers.sh" "$tree" >"$tree/out"
  status=$?
  if [ "$status" -ne "$1" ]; then
    echo "FAIL: $2 with $3: status $status, expected $1"
    failed=1
  elif [ "$status" -eq 1 ] && ! grep -q "^$2:1: " "$tree/out"; then
    echo "FAIL: $2 with $3: the file is not named"
    failed=1
  fi
  rm -rf "${tree:?}"/*
}

expect 0 mem/phys/arena.c '#include <qy/arena.h>'
expect 1 mem/phys/arena.c '#include <kernel/cpu.h>'
expect 1 mem/phys/arena.c '# include <platform/parse.h>'
expect 1 mem/phys/arena.c '#include "../../kernel/include/kernel/cpu.h"'
expect 1 mem/phys/arena.c '#include <stdio.h>'
expect 0 platform/acpi.c '#include <qy/types.h>'
expect 1 platform/acpi.c '#include <kernel/print.h>'
expect 1 include/quarry/abi.h '#include <qy/types.h>'
expect 1 lib/format.c '#include <quarry/abi.h>'
expect 0 kernel/main.c '#include <arch/arch.h>'
expect 1 kernel/main.c '#include "../arch/x86_64/x86.h"'
expect 1 kernel/main.c '#include <user/print.h>'
expect 0 arch/x86_64/mmu.c '#include <kernel/cpu.h>'
expect 1 arch/x86_64/mmu.c '#include "../riscv64/riscv.h"'
expect 1 user/root/main.c '#include <qy/arena.h>'
expect 1 user/root/main.c '#include <kernel/cap.h>'
expect 0 hosted/machine.c '#include <sys/mman.h>'
expect 1 hosted/machine.c '#include <kernel/cap.h>'
expect 1 bench/frames.c '#include <kernel/cap.h>'
expect 1 hosted/machine.c '# include_next <kernel/cap.h>'
expect 0 lab/machine.c '#include <hosted/hosted.h>'
expect 1 lab/machine.c '#include <kernel/cap.h>'
expect 1 mem/phys/arena.c '#include "../../lab/lab.h"'
expect 0 tests/unit/cap.c '#include <kernel/cap.h>'
expect 0 tests/unit/arena.c '#include "../../mem/phys/arena_impl.h"'

[ "$failed" -eq 0 ] && echo "all as expected"
exit "$failed"
