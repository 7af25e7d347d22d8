# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables shared with the script that sources this; set -u finds a misspelt one
# ./quarry bench: all suites, or the one that is named. Sourced by quarry. Each prints a table and writes an array of rows
# into build/bench/*.json: suite, name, unit, ours, peers by name, aim.

bench_dir=$build/bench
bench_failed=0

# bench_suite NAME ARCH: in a shell of its own, so that the others follow one that failed.
bench_suite() {
  arch=$2
  # shellcheck source=tools/bench_machine.sh
  (. "$root/tools/bench_$1.sh") || bench_failed=1
}

case $suite in
all)
  bench_suite machine x86_64
  bench_suite machine riscv64
  bench_suite phys
  bench_suite heap
  ;;
*) bench_suite "$suite" "$arch" ;;
esac
exit "$bench_failed"
