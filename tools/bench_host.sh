# shellcheck shell=sh
# shellcheck disable=SC2154 # variables shared with the script that sources this; set -u finds a misspelt one
# What the benchmarks on the host share: counting instructions under callgrind. Sourced by tools/bench_*.sh.

# host_count PROGRAM ARGUMENT...: instructions per operation of what the program runs inside of measured(); it prints the
# number of operations. Without debugging information, since valgrind 3.19 does not read clang's.
host_count() {
  strip -g -o "$bench_dir/counted" "$1" || return 1
  shift
  host_operations=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect=measured \
    "$bench_dir/counted" "$@" 2>"$bench_dir/callgrind.log") || return 1
  host_collected=$(sed -n 's/.* Collected : \([0-9]*\)$/\1/p' "$bench_dir/callgrind.log")
  [ -n "$host_collected" ] && echo $(((host_collected + host_operations / 2) / host_operations))
}

# host_count_twice WHAT PROGRAM ARGUMENT...: the same; two counts have to agree.
host_count_twice() {
  host_what=$1
  shift
  { host_first=$(host_count "$@") && host_second=$(host_count "$@"); } || {
    echo "callgrind failed on $host_what: $(tail -n 1 "$bench_dir/callgrind.log")" >&2
    return 1
  }
  [ "$host_first" = "$host_second" ] || {
    echo "two counts of $host_what differ: $host_first, $host_second" >&2
    return 1
  }
  echo "$host_first"
}
