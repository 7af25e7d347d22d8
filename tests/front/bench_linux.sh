#!/bin/sh
# ./quarry bench machine, with Linux: two boots of each kernel agree (it says so itself by its exit code), every row that Linux
# has a like of has its figures, and Quarry's faults, maps, unmaps, messages and switches take at most half of lean Linux's
# instructions. It takes the package of Linux from Debian's mirror. It would miss a row that both sides measure wrongly.

set -u
root=$(cd "$(dirname "$0")/../.." && pwd -P)
json=$root/build/bench/machine-x86_64.json
rm -f "$json"
"$root/quarry" bench machine </dev/null || exit 1
/usr/bin/python3 - "$json" <<'END'
import json
import sys

WANTED = """null_call map_frame unmap_frame fault_round_trip fault_mapped_round_trip region_map_1 region_protect_1 region_unmap_1
region_cycle_1 region_map_16 region_protect_16 region_unmap_16 region_cycle_16 region_map_512 region_protect_512 region_unmap_512
region_cycle_512 reserve_1_tib unreserve_1_tib fault_zero_page fault_last_sharer ipc_round_trip ipc_round_trip_apart
switch_thread switch_space clone_64_mib""".split()
OTHERS = "boot reserve_1_mib reserve_1_gib fault_copy_page file_fault_warm fork_exit_small".split()
rows = {row["name"]: row for row in json.load(open(sys.argv[1]))}
failed = False
for name in WANTED + OTHERS:
    row = rows.get(name)
    lean = [figure for peer, figure in row["peers"].items() if peer.startswith("Linux lean")] if row else []
    shipped = [figure for peer, figure in row["peers"].items() if peer.startswith("Linux shipped")] if row else []
    if not lean or len(lean) != len(shipped):
        print(f"FAIL: {name} has no figures of Linux")
        failed = True
    elif name in WANTED and 2 * row["ours"] > min(lean):
        print(f"FAIL: {name}: {row['ours']} instructions, lean Linux {min(lean)}")
        failed = True
sys.exit(failed)
END
status=$?
[ "$status" -ne 0 ] || echo "all as expected"
exit "$status"
