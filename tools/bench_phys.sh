# shellcheck shell=sh
# shellcheck disable=SC2154 # variables shared with the script that sources this; set -u finds a misspelt one
# ./quarry bench phys: what frames cost on this host, from an arena and from a CPU's cache in front of it. Sourced by
# tools/bench.sh.
#
# Times are the median of rounds, with the lowest and the highest: a busy host shows there. Instructions are counted
# under callgrind, twice, and have to agree. The table goes to standard output, the rows to build/bench/phys.json.
# --quick counts one case of each, and takes no times.

# shellcheck source=tools/bench_host.sh
. "$root/tools/bench_host.sh"

phys_dir=$build/hosted/bench/phys
phys_rows=$bench_dir/phys-rows
phys_subjects='arena cache'

[ -z "$peer" ] || phys_subjects="$phys_subjects peer"

phys_time() { # SUBJECT
  if [ "$1" = peer ]; then set -- peer "$peer"; fi
  "$phys_dir/bench_phys_$1" ${2:+"$2"} >"$phys_rows.$1" && sed "s/^/$1./" "$phys_rows.$1" >>"$phys_rows"
}

# Every case of a subject; with --quick the first.
phys_count_all() { # SUBJECT
  phys_cases=1
  [ "$quick" = yes ] || phys_cases=1000
  if [ "$1" = peer ]; then set -- peer "$peer"; fi
  "$phys_dir/bench_phys_$1" ${2:+"$2"} --list >"$phys_rows.list" || return 1
  head -n "$phys_cases" "$phys_rows.list" | while read -r name; do
    count=$(host_count_twice "$1 $name" "$phys_dir/bench_phys_$1" ${2:+"$2"} --count "$name") || return 1
    echo "$1.$name instructions $count $count $count" >>"$phys_rows"
  done
}

# Rows "name unit median lowest highest" with the peers' figures: as a table, or as JSON.
phys_show() { # table|json
  awk -v form="$1" '
    function number(text) { return text == "-" || text == "" ? "null" : text }
    NR == FNR { if ($0 !~ /^#/ && NF) { key = $1 " " $2; aim[key] = $3; llfree[key] = $4; buddy2[key] = $5; rcore[key] = $6 }; next }
    { key = $1 " " $2 }
    FNR == 1 && form == "table" {
      printf "%-42s %-12s %9s %21s %6s %7s %7s %6s\n", "", "unit", "median", "lowest - highest", "aim", "LLFree", "buddy2", "rcore"
    }
    form == "table" {
      spread = $4 == $5 ? "" : $4 " - " $5
      printf "%-42s %-12s %9s %21s %6s %7s %7s %6s\n", $1, $2, $3, spread, aim[key], llfree[key], buddy2[key], rcore[key]
    }
    form == "json" {
      printf "%s\n  {\"suite\": \"phys\", \"name\": \"%s\", \"unit\": \"%s\", \"ours\": %s, ", FNR == 1 ? "[" : ",", $1, $2, $3
      printf "\"lowest\": %s, \"highest\": %s, ", $4, $5
      printf "\"peers\": {\"LLFree\": %s, \"buddy2\": %s, \"rcore\": %s}, \"aim\": %s}", \
        number(llfree[key]), number(buddy2[key]), number(rcore[key]), number(aim[key])
    }
    END { if (form == "json") printf "\n]\n" }' "$root/bench/phys.tsv" "$phys_rows"
}

need hosted bench-phys
host_build bench/phys/bench_phys_arena bench/phys/bench_phys_cache bench/phys/bench_phys_peer
mkdir -p "$bench_dir"
: >"$phys_rows"
for subject in $phys_subjects; do
  [ "$quick" = yes ] || must_step "timing $subject" "bench-phys-$subject.log" phys_time "$subject"
  must_step "counting $subject" "bench-phys-$subject.log" phys_count_all "$subject"
done
phys_show table
phys_show json >"$bench_dir/phys.json"
say "build/bench/phys.json has the rows; compare times of one run only"
