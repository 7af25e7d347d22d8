# shellcheck shell=sh
# shellcheck disable=SC2154 # variables shared with the script that sources this; set -u finds a misspelt one
# ./quarry bench heap: small objects, this heap beside glibc, jemalloc, mimalloc and tcmalloc in one process. Sourced by
# tools/bench.sh.
#
# Times are the median of rounds in which every subject takes part; instructions are counted under callgrind, twice, and
# have to agree. The table goes to standard output, the rows to build/bench/heap.json.

# shellcheck source=tools/bench_host.sh
. "$root/tools/bench_host.sh"

heap_program=$build/hosted/bench/heap/bench_heap
heap_rows=$bench_dir/heap-rows
# jemalloc and mimalloc want room among the variables of threads that exist before they are opened.
export GLIBC_TUNABLES=glibc.rtld.optional_static_tls=16384

# The program, with the peer if one was named.
heap_program() {
  "$heap_program" ${peer:+--peer "$peer"} "$@"
}

heap_time() {
  heap_program >"$heap_rows"
}

# Every case; with --quick the first scene's. Ours are counted twice; others' counts depend on where the host puts their
# memory.
heap_count_all() {
  heap_cases='.'
  [ "$quick" = no ] || heap_cases='^pair_64 '
  heap_program --list >"$heap_rows.list" || return 1
  grep "$heap_cases" "$heap_rows.list" | while read -r scene subject; do
    case $subject in
    quarry*) count=$(host_count_twice "$scene $subject" "$heap_program" ${peer:+--peer "$peer"} --count "$scene" "$subject") || return 1 ;;
    *) count=$(host_count "$heap_program" ${peer:+--peer "$peer"} --count "$scene" "$subject") || return 1 ;;
    esac
    echo "$scene instructions $subject $count $count $count" >>"$heap_rows"
  done
}

need hosted bench-heap
host_build bench/heap/bench_heap
mkdir -p "$bench_dir"
: >"$heap_rows"
[ "$quick" = yes ] || must_step "timing objects" bench-heap.log heap_time
must_step "counting objects" bench-heap.log heap_count_all
host_show heap "an object, there and back" "$heap_rows"
say "build/bench/heap.json has the rows; compare times of one run only"
