#!/bin/sh
# What the CPU sees: the kernel prints every translation of the space that it is about to run (boot option
# translations), or of one with all kinds of pages that regions make (translations=last seen), and waits; QEMU's monitor walks the same tables by itself. On x86-64 `info tlb` must show the same
# pages with the same attributes and `info mem` the same ranges, on RISC-V `info mem` the same ranges, frames and
# attributes. It would miss memory types on RISC-V and page sizes that are wrong on both sides in the same way.

set -u
root=$(cd "$(dirname "$0")/../.." && pwd -P) || exit 1
# shellcheck source=tools/common.sh
. "$root/tools/common.sh"
# shellcheck source=tools/machine.sh
. "$root/tools/machine.sh"

limit=${QUARRY_TEST_SECONDS:-60}
failed=0

fail() {
  echo "FAIL: $arch: $*"
  failed=1
}

# Ask the monitor once the listing stands on the console. The machine is gone afterwards.
look() { # FOLDER
  mkfifo "$1/monitor.in" "$1/monitor.out"
  : >"$1/console"
  m_more="-monitor pipe:$1/monitor"
  machine_qemu >"$1/console" 2>&1 </dev/null &
  machine=$!
  cat "$1/monitor.out" >"$1/said" &
  reader=$!
  exec 3<>"$1/monitor.in"
  tries=$((limit * 10))
  until grep -q '^translations: end' "$1/console" || ! kill -0 "$machine" 2>/dev/null; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || break
    sleep 0.1
  done
  printf 'info tlb\ninfo mem\nquit\n' >&3
  wait "$machine"
  exec 3>&-
  # It ends by itself when it has read all; unless the machine never opened its end.
  tries=100
  while kill -0 "$reader" 2>/dev/null && [ "$tries" -gt 0 ]; do
    tries=$((tries - 1))
    sleep 0.1
  done
  kill "$reader" 2>/dev/null
  wait "$reader" 2>/dev/null
}

# Our lines as `info tlb` writes them.
as_info_tlb() {
  awk '{ printf "%s: %s %s%s%s%s%s%s%s%s%s\n", $2, $3, ($5 ~ /x/ ? "-" : "X"), ($5 ~ /g/ ? "G" : "-"),
    ($4 == "1000" ? "-" : "P"), ($5 ~ /d/ ? "D" : "-"), ($5 ~ /a/ ? "A" : "-"), ($6 == "uncached" ? "C" : "-"),
    ($6 != "write-back" ? "T" : "-"), ($5 ~ /u/ ? "U" : "-"), ($5 ~ /w/ ? "W" : "-") }'
}

# Our lines as `info mem` writes them: neighbours of the same rights are one range; on RISC-V of the same bits, whose
# frames are neighbours too. Numbers are added as two halves, since awk counts in floating point.
as_info_mem() { # ARCH
  awk -v arch="$1" '
    function digit(c) { return index("0123456789abcdef", c) - 1 }
    function number(text, value, i) { for (i = 1; i <= length(text); i++) value = value * 16 + digit(substr(text, i, 1)); return value }
    function plus(text, bytes, low, high) {
      low = number(substr(text, 9)) + bytes
      high = number(substr(text, 1, 8)) + int(low / 4294967296)
      return sprintf("%08x%08x", high % 4294967296, low % 4294967296)
    }
    function flush() {
      if (!bytes) return
      size = plus("0000000000000000", bytes)
      if (arch == "x86_64") print start "-" end " " size " " rights
      else print start " " physical " " size " " rights
    }
    {
      mine = $5
      if (arch == "x86_64") mine = ($5 ~ /u/ ? "u" : "-") "r" ($5 ~ /w/ ? "w" : "-")
      if (!bytes || $2 != end || mine != rights || (arch != "x86_64" && $3 != frame)) {
        flush()
        start = $2; physical = $3; rights = mine; bytes = 0
      }
      bytes += number($4); end = plus($2, number($4)); frame = plus($3, number($4))
    }
    END { flush() }'
}

compare() { # FOLDER WHAT OURS THEIRS
  if [ "$(wc -l <"$1/$4")" -lt 10 ]; then
    fail "$2 shows only $(wc -l <"$1/$4") lines"
  elif ! diff "$1/$3" "$1/$4" >"$1/diff"; then
    fail "the kernel (<) and $2 (>) differ in $(grep -c '^[<>]' "$1/diff") lines: $(grep '^[<>]' "$1/diff" | head -n 4 | tr '\n' ';')"
  else
    echo "$arch: $2 agrees: $(wc -l <"$1/$3") lines"
  fi
}

for turn in 'x86_64 translations' 'riscv64 translations' 'x86_64 translations=last seen' 'riscv64 translations=last seen'; do
  arch=${turn%% *}
  need "emulator-$arch"
  build_kernel "$arch" clang default
  machine_defaults
  m_arch=$arch m_memory=256M m_words=${turn#* } m_seconds=$limit
  [ "$arch" = x86_64 ] || m_path=opensbi
  m_kernel=$kernel_dir/kernel/quarry.elf m_archive=$kernel_dir/user/boot.cpio
  work=$build/test/seen-$arch
  rm -rf "$work"
  mkdir -p "$work"
  look "$work"
  tr -d '\r' <"$work/console" | grep '^translation ' >"$work/ours"
  tr -d '\r' <"$work/said" >"$work/monitor"
  if ! grep -q '^translations: end' "$work/console"; then
    fail "the kernel did not print its translations; console: ${work#"$root/"}/console"
    continue
  fi
  if [ "$arch" = x86_64 ]; then
    as_info_tlb <"$work/ours" >"$work/ours.tlb"
    grep -E '^[0-9a-f]{16}: [0-9a-f]{16} [-A-Z]{9}$' "$work/monitor" >"$work/theirs.tlb"
    compare "$work" "info tlb" ours.tlb theirs.tlb
    ranges='^[0-9a-f]{16}-[0-9a-f]{16} [0-9a-f]{16} [-urw]{3}$'
  else
    ranges='^[0-9a-f]{16} [0-9a-f]{16} [0-9a-f]{16} [-rwxugad]{7}$'
  fi
  as_info_mem "$arch" <"$work/ours" >"$work/ours.mem"
  grep -E "$ranges" "$work/monitor" >"$work/theirs.mem"
  if [ "$arch" = riscv64 ]; then # QEMU begins a new range with each table: join them
    sed 's/^/- /' "$work/theirs.mem" | as_info_mem "$arch" >"$work/joined"
    mv "$work/joined" "$work/theirs.mem"
  fi
  compare "$work" "info mem" ours.mem theirs.mem
  case $turn in
  *seen) # a page shared copy on write is not writable, one of 2 MiB is one, one that was split is not
    for page in '000021000000[01]000 [0-9a-f]* 1000 r--u.a' '0000210000002000 [0-9a-f]* 1000 r--u' '0000210000004000 [0-9a-f]* 1000 r--u' \
      '0000210000005000 [0-9a-f]* 1000 rw-u.ad' '0000210040000000 [0-9a-f]* 200000 rw-u' '0000210040200000 [0-9a-f]* 1000 r--u' \
      '0000210040201000 [0-9a-f]* 1000 rw-u'; do
      grep -Eq "^translation $page" "$work/ours" || fail "the space has no page as $page"
    done
    ! grep -Eq '^translation 000021000000[367]000' "$work/ours" || fail "a page is mapped that has no rights or was never touched"
    ;;
  esac
  grep -q ' ..x.*u' "$work/ours" || fail "no user page is executable: not the space of a program"
done
exit "$failed"
