# shellcheck shell=sh
# shellcheck disable=SC2154 # variables shared with the script that sources this; set -u finds a misspelt one
# What the benchmarks on the host share: counting instructions under callgrind, tables of
# several subjects. Sourced by tools/bench_*.sh.

# host_build TARGET...: these programs of the hosted build, and no more of it.
host_build() {
  configure "$build/hosted" clang-14
  must_step "building the benchmark" build-bench.log ninja -C "$build/hosted" -j "$jobs" "$@"
}

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

# host_show SUITE TITLE FILE: rows "SCENE UNIT SUBJECT MEDIAN LOWEST HIGHEST" as a table with the peers' figures over ours,
# and as JSON in build/bench/SUITE.json.
host_show() {
  host_format table "$@" && host_format json "$@" >"$bench_dir/$1.json"
}

host_format() { # table|json SUITE TITLE FILE
  awk -v form="$1" -v suite="$2" -v title="$3" '
    { key = $1 " " $2
      if (!(key in seen)) { seen[key] = 1; keys[++rows] = key }
      if (!($3 in known)) { known[$3] = 1; names[++columns] = $3; ours[$3] = $3 ~ /^quarry/ }
      median[key, $3] = $4; lowest[key, $3] = $5; highest[key, $3] = $6 }
    function best(key,   i, value) {
      value = ""
      for (i = 1; i <= columns; i++)
        if (ours[names[i]] && (key, names[i]) in median && (value == "" || median[key, names[i]] + 0 < value + 0))
          value = median[key, names[i]]
      return value
    }
    function cell(key, name,   text) {
      if (!((key, name) in median)) return "-"
      if (ours[name] || best(key) + 0 == 0) return median[key, name]
      return sprintf("%s (%.1fx)", median[key, name], median[key, name] / best(key))
    }
    END {
      if (form == "table") {
        printf "%-24s %-12s", title, "unit"
        for (i = 1; i <= columns; i++) printf " %15s", names[i]
        printf "\n"
      }
      for (r = 1; r <= rows; r++) {
        split(keys[r], part, " ")
        if (form == "table") {
          printf "%-25s %-12s", part[1], part[2]
          for (i = 1; i <= columns; i++) printf " %15s", cell(keys[r], names[i])
          printf "\n"
          continue
        }
        for (o = 1; o <= columns; o++) {
          if (!ours[names[o]] || !((keys[r], names[o]) in median)) continue
          printf "%s\n  {\"suite\": \"%s\", \"name\": \"%s_%s\", \"unit\": \"%s\", ", first++ ? "," : "[", suite, names[o], part[1], part[2]
          printf "\"ours\": %s, \"lowest\": %s, \"highest\": %s, \"peers\": {", median[keys[r], names[o]], lowest[keys[r], names[o]], highest[keys[r], names[o]]
          comma = ""
          for (i = 1; i <= columns; i++)
            if (!ours[names[i]] && (keys[r], names[i]) in median) {
              printf "%s\"%s\": %s", comma, names[i], median[keys[r], names[i]]
              comma = ", "
            }
          printf "}, \"aim\": null}"
        }
      }
      if (form == "json") printf "\n]\n"
    }' "$4"
}
