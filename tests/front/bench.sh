#!/bin/sh
# ./quarry bench machine counts instructions: two runs agree (it says so itself by its exit code), and the rows are in the file;
# ./quarry bench phys, heap and vm print tables and write the same rows, a peer's too. It
# would miss a clock that follows the host's time.

set -u
root=$(cd "$(dirname "$0")/../.." && pwd -P)

"$root/quarry" bench machine --quick </dev/null || exit 1
"$root/quarry" bench machine --quick --arch riscv64 </dev/null || exit 1
rows='null_call map_frame unmap_frame ipc_round_trip fault_round_trip fault_mapped_round_trip reserve_1_mib reserve_1_tib fault_zero_page file_fault_cold file_fault_warm'
rows="$rows fault_copy_page clone_1_gib_sparse clone_64_mib ipc_round_trip_apart switch_thread switch_space fork_exit_small fork_exit_64_mib migrate_page revoke_frame revoke_mapped_frame revoke_copy"
rows="$rows evict_page_out evict_page_in compress_page_out compress_page_in swap_page_out swap_page_in"
for size in 1 16 512; do rows="$rows region_map_$size region_protect_$size region_unmap_$size region_cycle_$size"; done
for type in frame page_table untyped address_space capability_node thread endpoint reply notification timer interrupt \
  port_range memory_object; do
  rows="$rows retype_$type delete_$type"
done
for file in machine-x86_64 machine-riscv64; do
  json=$root/build/bench/$file.json
  for row in $rows; do
    grep -Eq "\"name\": \"$row\", \"unit\": \"instructions\", \"ours\": [1-9][0-9]*," "$json" || {
      echo "FAIL: build/bench/$file.json has no row $row"
      exit 1
    }
  done
  sed -n 's/.*"reserve_1_\(mib\|tib\)".*"ours": \([0-9]*\),.*/\1 \2/p' "$json" |
    awk '{ cost[$1] = $2 } END { exit !(cost["tib"] <= 2 * cost["mib"]) }' || {
    echo "FAIL: build/bench/$file.json: reserving 1 TiB costs more than twice as much as 1 MiB"
    exit 1
  }
done
phys=$root/build/bench/phys.json
rm -f "$phys"
table=$("$root/quarry" bench phys --quick </dev/null) || exit 1
for subject in arena cache; do
  row=$(echo "$table" | grep -E "^$subject\.[a-z0-9_-]+ +instructions +[1-9][0-9]* ") || {
    echo "FAIL: the table of ./quarry bench phys has no count of $subject"
    exit 1
  }
  name=${row%% *}
  count=$(echo "$row" | awk '{ print $3 }')
  grep -Eq "\"suite\": \"phys\", \"name\": \"$name\", \"unit\": \"instructions\", \"ours\": $count, \"lowest\": $count, \"highest\": $count, \"peers\": \{\"LLFree\": [0-9.nul]+, .*\"aim\": [0-9.nul]+\}" "$phys" || {
    echo "FAIL: build/bench/phys.json does not have the row of $name as the table has it"
    exit 1
  }
done
[ ! -x /usr/bin/python3 ] || /usr/bin/python3 -c 'import json, sys; assert len(json.load(open(sys.argv[1]))) == 2' "$phys" || {
  echo "FAIL: build/bench/phys.json is no JSON of two rows"
  exit 1
}
heap=$root/build/bench/heap.json
rm -f "$heap"
"$root/quarry" bench heap --quick </dev/null || exit 1
for subject in quarry_cache quarry_heap; do
  grep -Eq "\"suite\": \"heap\", \"name\": \"${subject}_pair_64\", \"unit\": \"instructions\", \"ours\": [1-9][0-9.]*, .*\"peers\": \{\"glibc\": [1-9]" "$heap" || {
    echo "FAIL: build/bench/heap.json has no row of $subject with glibc beside it"
    exit 1
  }
done
[ ! -x /usr/bin/python3 ] || /usr/bin/python3 -c 'import json, sys; assert len(json.load(open(sys.argv[1]))) == 2' "$heap" || {
  echo "FAIL: build/bench/heap.json is no JSON of two rows"
  exit 1
}
peer=$root/build/hosted/bench/libpeer_example.so
ninja -C "$root/build/hosted" bench/libpeer_example.so || exit 1
"$root/quarry" bench phys --quick --peer "$peer" </dev/null || exit 1
grep -Eq '"name": "peer.pair_order_0", "unit": "instructions", "ours": [1-9]' "$phys" || {
  echo "FAIL: build/bench/phys.json has no row of the peer"
  exit 1
}
"$root/quarry" bench heap --quick --peer "$peer" </dev/null || exit 1
grep -Eq '"name": "quarry_cache_pair_64", .*"peer": [1-9]' "$heap" || {
  echo "FAIL: build/bench/heap.json has no figure of the peer"
  exit 1
}
if "$root/quarry" bench heap --quick --peer "$root/build/hosted/bench/heap/bench_heap" </dev/null; then
  echo "FAIL: a program is taken for a peer"
  exit 1
fi
"$root/quarry" bench vm --quick </dev/null || exit 1
grep -Eq '"suite": "vm", "name": "quarry_cycle_16_pages", "unit": "ns", "ours": [1-9][0-9.]*, .*"peers": \{"linux": [1-9]' "$root/build/bench/vm.json" || {
  echo "FAIL: build/bench/vm.json has no row of cycle_16_pages with Linux beside it"
  exit 1
}
/usr/bin/python3 "$root/tools/bench_report.py" check "$root/build/bench" all || exit 1
echo "all as expected"
