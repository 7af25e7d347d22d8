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

heap_time() {
  "$heap_program" >"$heap_rows"
}

# Every case; with --quick the first scene's. Ours are counted twice; others' counts depend on where the host puts their
# memory.
heap_count_all() {
  heap_cases='.'
  [ "$quick" = no ] || heap_cases='^pair_64 '
  "$heap_program" --list | grep "$heap_cases" | while read -r scene subject; do
    case $subject in
    quarry*) count=$(host_count_twice "$scene $subject" "$heap_program" --count "$scene" "$subject") || return 1 ;;
    *) count=$(host_count "$heap_program" --count "$scene" "$subject") || return 1 ;;
    esac
    echo "$scene instructions $subject $count $count $count" >>"$heap_rows"
  done
}

# Rows "SCENE UNIT SUBJECT MEDIAN LOWEST HIGHEST": as a table with the peers' figures over ours, or as JSON.
heap_show() { # table|json
  awk -v form="$1" '
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
        printf "%-24s %-12s", "an object, there and back", "unit"
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
          printf "%s\n  {\"suite\": \"heap\", \"name\": \"%s_%s\", \"unit\": \"%s\", ", first++ ? "," : "[", names[o], part[1], part[2]
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
    }' "$heap_rows"
}

need hosted bench-heap
build_hosted plain
mkdir -p "$bench_dir"
: >"$heap_rows"
[ "$quick" = yes ] || must_step "timing objects" bench-heap.log heap_time
must_step "counting objects" bench-heap.log heap_count_all
heap_show table
heap_show json >"$bench_dir/heap.json"
say "build/bench/heap.json has the rows; compare times of one run only"
