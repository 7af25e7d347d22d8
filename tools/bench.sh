# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables shared with the script that sources this; set -u finds a misspelt one
# ./quarry bench: what calls cost in guest instructions; with a suite's name, that suite. Sourced by quarry.
#
# One CPU under QEMU's instruction clock, where a tick of the time-stamp counter is one instruction: the figures do not
# depend on the host, and two runs have to agree. String instructions are made slow-path (no ERMS, no FSRM), as on the
# side of the peers in bench/machine.tsv. The table goes to standard output, the rows to build/bench/machine.json.

bench_dir=$build/bench
if [ "$suite" != machine ]; then
  # shellcheck source=tools/bench_phys.sh
  . "$root/tools/bench_$suite.sh"
  return
fi
case $arch in
x86_64) bench_file=machine.json ;;
*) bench_file=machine-$arch.json ;;
esac

# bench_run CONSOLE: boot with the command line "bench".
bench_run() {
  machine_defaults
  m_arch=$arch m_memory=256M m_words=bench m_seconds=300
  m_more='-icount shift=0,sleep=off'
  case $arch in
  x86_64) m_path=pvh m_cpu=max,la57=off,erms=off,fsrm=off ;;
  riscv64) m_path=opensbi ;;
  esac
  m_kernel=$kernel_dir/kernel/quarry.elf
  m_archive=$kernel_dir/user/boot.cpio
  machine_qemu </dev/null >"$1" 2>&1
  bench_status=$?
  [ "$(kernel_code "$bench_status")" = 0 ] && return 0
  tail -n 15 "$1"
  return 1
}

# Lines "bench: name value ticks" of a console as "name value".
bench_rows() {
  tr -d '\r' <"$1" | sed -n 's/^bench: \([a-z0-9_]*\) \([0-9]*\) ticks$/\1 \2/p'
}

# Rows "name value" with the peers' figures: as a table, or as JSON.
bench_show() { # table|json
  awk -v form="$1" -v arch="$arch" '
    function number(text) { return text == "-" || text == "" ? "null" : text }
    NR == FNR { if ($0 !~ /^#/ && NF && arch == "x86_64") { aim[$1] = $2; linux[$1] = $3; sel4[$1] = $4; known[$1] = 1 }; next }
    FNR == 1 && form == "table" && arch != "x86_64" { print "(the aims and the figures of others are for x86_64)" }
    FNR == 1 && form == "table" { printf "%-26s %12s %8s %10s %8s\n", "instructions", "Quarry", "aim", "Linux 6.1", "seL4" }
    FNR == 1 && form == "json" { printf "[" }
    form == "table" {
      printf "%-26s %12s %8s %10s %8s\n", $1, $2, known[$1] ? aim[$1] : "-", known[$1] ? linux[$1] : "-",
        known[$1] ? sel4[$1] : "-"
    }
    form == "json" {
      printf "%s\n  {\"suite\": \"machine-%s\", \"name\": \"%s\", \"unit\": \"instructions\", \"ours\": %s, ", \
        FNR == 1 ? "" : ",", arch, $1, $2
      printf "\"peers\": {\"Linux 6.1\": %s, \"seL4\": %s}, \"aim\": %s}", number(linux[$1]), number(sel4[$1]), number(aim[$1])
    }
    END { if (form == "json") printf "\n]\n" }' "$root/bench/machine.tsv" "$2"
}

need "emulator-$arch" "build-$arch-$compiler"
build_kernel "$arch" "$compiler" default
mkdir -p "$bench_dir"
for turn in 1 2; do
  must_step "counting, turn $turn" "bench-$turn.log" bench_run "$bench_dir/console-$turn.log"
  bench_rows "$bench_dir/console-$turn.log" >"$bench_dir/rows-$turn"
done
[ -s "$bench_dir/rows-1" ] || die "the kernel printed no rows; its console is in build/bench/console-1.log"
bench_show table "$bench_dir/rows-1"
bench_show json "$bench_dir/rows-1" >"$bench_dir/$bench_file"
if cmp -s "$bench_dir/rows-1" "$bench_dir/rows-2"; then
  say "two runs gave the same figures; build/bench/$bench_file has them"
else
  say "two runs differ: the figures are not to be trusted"
  diff "$bench_dir/rows-1" "$bench_dir/rows-2" >&2
  exit 1
fi
