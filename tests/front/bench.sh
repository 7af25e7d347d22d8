#!/bin/sh
# ./quarry bench counts instructions: two runs agree (it says so itself by its exit code), and the rows are in the file.
# It would miss a clock that follows the host's time.

set -u
root=$(cd "$(dirname "$0")/../.." && pwd -P)

"$root/quarry" bench </dev/null || exit 1
for row in null_call map_frame unmap_frame retype_frame ipc_round_trip fault_round_trip; do
  grep -Eq "\"name\": \"$row\", \"unit\": \"instructions\", \"ours\": [1-9][0-9]*," "$root/build/bench/machine.json" || {
    echo "FAIL: build/bench/machine.json has no row $row"
    exit 1
  }
done
echo "all as expected"
