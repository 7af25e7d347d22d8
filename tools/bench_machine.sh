# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables shared with the script that sources this; set -u finds a misspelt one
# ./quarry bench machine: what calls cost in guest instructions, beside Linux in the same machine. Sourced by
# tools/bench.sh.
#
# One CPU under QEMU's instruction clock, where a tick of the time-stamp counter is one instruction: the figures do not
# depend on the host, and two runs have to agree. String instructions are made slow-path (no ERMS, no FSRM) on both sides:
# a page of zeroes is 512 instructions, not 1 nor 4096. The table goes to standard output, the rows to
# build/bench/machine-ARCH.json. --quick leaves Linux out.

# bench_machine ARCH WORDS KERNEL ARCHIVE CONSOLE: one boot, the same machine for both sides.
bench_machine() {
  machine_defaults
  m_arch=$1 m_words=$2 m_kernel=$3 m_archive=$4 m_memory=256M m_seconds=300
  # What is random comes from the emulator's seed, and the date is always the same one.
  m_more='-icount shift=0,sleep=off -seed 1 -rtc base=2026-01-01,clock=vm'
  case $arch in
  x86_64) m_path=pvh m_cpu=max,la57=off,erms=off,fsrm=off ;;
  riscv64) m_path=opensbi ;;
  esac
  machine_qemu </dev/null >"$5" 2>&1
  bench_status=$?
  [ "$(kernel_code "$bench_status")" = 0 ] && return 0
  tail -n 15 "$5"
  return 1
}

quarry_run() { # WORDS CONSOLE
  bench_machine "$arch" "$1" "$kernel_dir/kernel/quarry.elf" "$kernel_dir/user/boot.cpio" "$2"
}

# bench_twice WHAT NAME COMMAND WORDS: the rows of two boots in NAME-1 and NAME-2, as "name value"; they have to agree.
bench_twice() {
  twice_what=$1 twice_file=$bench_dir/$2
  for turn in 1 2; do
    must_step "counting $twice_what, turn $turn" "bench-$2-$turn.log" "$3" "$4" "$twice_file-$turn.console"
    tr -d '\r' <"$twice_file-$turn.console" | sed -n 's/^bench: \([a-z0-9_.]*\) \([0-9]*\) ticks$/\1 \2/p' >"$twice_file-$turn"
  done
  [ -s "$twice_file-1" ] || die "$twice_what printed no rows; its console is in build/bench/$2-1.console"
  cmp -s "$twice_file-1" "$twice_file-2" || {
    diff "$twice_file-1" "$twice_file-2" >&2
    die "two runs of $twice_what differ: the figures are not to be trusted"
  }
  say "two runs of $twice_what gave the same figures"
}

# Ours with those of others: as a table, or as JSON. A row NAME.WAY of Linux is a way to do what our row NAME does; the
# table shows the way that costs Linux least.
machine_show() { # table|json
  # shellcheck disable=SC2086 # the files of Linux: none, or two
  awk -v form="$1" -v arch="$arch" '
    FNR == 1 { file++ }
    /^#/ || !NF { next }
    file == 1 { if (arch == "x86_64") { aim[$1] = $2; sel4[$1] = $3 }; next }
    file == 2 { names[++rows] = $1; ours[$1] = $2; next }
    {
      kind = file == 3 ? "lean" : "shipped"
      split($1, part, ".")
      ways[part[1]] = ways[part[1]] sprintf(", \"Linux %s%s\": %s", kind, part[2] ? " (" part[2] ")" : "", $2)
      if (!((kind, part[1]) in least) || $2 + 0 < least[kind, part[1]]) least[kind, part[1]] = $2 + 0
      if (!(part[1] in ours)) alone[part[1]] = 1
    }
    function text(value) { return value == "" ? "-" : value }
    function number(value) { return value == "-" || value == "" ? "null" : value }
    END {
      if (form == "table") {
        if (arch != "x86_64") print "(the aims and the figures of others are for x86_64)"
        printf "%-30s %10s %10s %10s %10s %10s %8s\n", "instructions", "Quarry", "Linux lean", "shipped", "times less", "seL4", "aim"
      }
      for (i = 1; i <= rows; i++) {
        name = names[i]
        lean = least["lean", name]
        if (form == "table") {
          printf "%-30s %10s %10s %10s %10s %10s %8s\n", name, ours[name], text(lean), text(least["shipped", name]),
            lean == "" || !ours[name] ? "-" : sprintf("%.1f", lean / ours[name]), text(sel4[name]), text(aim[name])
          continue
        }
        printf "%s\n  {\"suite\": \"machine-%s\", \"name\": \"%s\", \"unit\": \"instructions\", \"ours\": %s, ", \
          i == 1 ? "[" : ",", arch, name, ours[name]
        others = ways[name] (number(sel4[name]) == "null" ? "" : ", \"seL4\": " sel4[name])
        printf "\"peers\": {%s}, \"aim\": %s}", substr(others, 3), number(aim[name])
      }
      if (form == "json") print "\n]"
      for (name in alone) print "quarry: Linux has a row that Quarry has not: " name >"/dev/stderr"
    }' "$root/bench/machine.tsv" "$bench_dir/quarry-$arch-1" $machine_others
}

need "emulator-$arch" "build-$arch-$compiler"
build_kernel "$arch" "$compiler" default
mkdir -p "$bench_dir"
bench_twice "Quarry on $arch" "quarry-$arch" quarry_run bench
machine_others=
if [ "$arch-$quick" = x86_64-no ]; then
  # shellcheck source=tools/bench_linux.sh
  . "$root/tools/bench_linux.sh"
  ! linux_count || machine_others="$bench_dir/linux-lean-1 $bench_dir/linux-shipped-1"
fi
machine_show table
machine_show json >"$bench_dir/machine-$arch.json" 2>/dev/null
say "build/bench/machine-$arch.json has the rows"
