# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables shared with the script that sources this; set -u finds a misspelt one
# ./quarry bench: all suites, or the one that is named. Sourced by quarry. Each prints a table and writes an array of rows
# into build/bench/*.json: suite, name, unit, ours, peers by name, aim. Then: charts into build/bench/*.svg, and what has
# changed since bench/baseline.json. --keep, of all suites: this run becomes the baseline, and docs/performance.md is made of it.

bench_dir=$build/bench
bench_failed=0
bench_document=$root/docs/performance.md
bench_baseline=$root/bench/baseline.json

bench_report() { # COMMAND [FILE]
  report_command=$1
  shift
  /usr/bin/python3 "$root/tools/bench_report.py" "$report_command" "$bench_dir" "$suite" "$@"
}

# bench_suite NAME ARCH: in a shell of its own, so that the others follow one that failed.
bench_suite() {
  arch=$2
  # shellcheck source=tools/bench_machine.sh
  (. "$root/tools/bench_$1.sh") || bench_failed=1
}

case $suite in
all)
  rm -f "$bench_dir"/*.json "$bench_dir"/*.svg
  bench_suite machine x86_64
  bench_suite machine riscv64
  bench_suite phys x86_64
  bench_suite heap x86_64
  bench_suite vm x86_64
  bench_suite footprint x86_64
  bench_suite footprint riscv64
  ;;
*) bench_suite "$suite" "$arch" ;;
esac
[ "$bench_failed" = 0 ] || exit 1
need hosted
bench_report check >"$logs/bench-check.log" || die "a file of build/bench is not well-formed"
[ "$quick" = no ] || exit 0
need bench-report
must_step "drawing charts" bench-charts.log bench_report charts
[ ! -f "$bench_baseline" ] || bench_report compare "$bench_baseline"
[ "$bench_keep" = yes ] || exit 0
bench_report keep "$bench_baseline" && bench_report document "$bench_document" || exit 1
say "bench/baseline.json and docs/performance.md are of this run now"
