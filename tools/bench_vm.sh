# shellcheck shell=sh
# shellcheck disable=SC2154 # variables shared with the script that sources this; set -u finds a misspelt one
# ./quarry bench vm: address spaces, this library's beside the host's own in one process. Sourced by tools/bench.sh.
#
# Times are the median of rounds in which both take part; what they include is said in bench/vm/cases.c. The table goes to
# standard output, the rows to build/bench/vm.json. --quick plays few rounds.

# shellcheck source=tools/bench_host.sh
. "$root/tools/bench_host.sh"

vm_time() {
  if [ "$quick" = yes ]; then set -- --quick; else set --; fi
  "$build/hosted/bench/vm/bench_vm" "$@" >"$bench_dir/vm-rows"
}

need hosted
host_build bench/vm/bench_vm
mkdir -p "$bench_dir"
must_step "timing address spaces" bench-vm.log vm_time
host_show vm "an operation" "$bench_dir/vm-rows"
say "build/bench/vm.json has the rows; compare times of one run only"
