#!/bin/sh
# ./quarry trace on both architectures: what the machine did is on the disk, an independent program rebuilds the machine's
# memory from it as the machine has it, babeltrace2 reads as many events as there are, the JSON is JSON, an event can be
# followed up. Rings that are too small lose, say so, and hold up nobody. A trace with a record changed is refused. It
# would miss an event that nothing in the workload makes.

set -u
root=$(cd "$(dirname "$0")/../.." && pwd -P)
out=$root/build/trace/test.out
image=$root/build/trace/trace.img
failed=0

fail() {
  echo "FAIL: $*"
  failed=1
}

tool() { /usr/bin/python3 -B "$root/tools/trace/quarry_trace.py" "$@"; }

mkdir -p "$root/build/trace"
for arch in x86_64 riscv64; do
  "$root/quarry" trace --arch "$arch" --mem 256M --smp 4 -- run=forks >"$out" 2>&1 </dev/null ||
    fail "$arch: exit code $?: $(tail -n 2 "$out")"
  grep -Eq '^replay: [0-9]{4,} changes rebuild [0-9]{5} frames, [0-9]{3,} entries in [0-9]+ spaces: as the machine has them$' "$out" ||
    fail "$arch: the memory is not rebuilt"
  grep -q '^trace: 0 lost, 0 numbers missing$' "$out" || fail "$arch: there are losses"
  events=$(sed -n 's/^trace: \([0-9]*\) events of 4 CPUs.*/\1/p' "$out")
  read_back=$(babeltrace2 "$root/build/trace/ctf/trace" | wc -l)
  [ "$events" = "$read_back" ] || fail "$arch: babeltrace2 reads $read_back events of $events"
  for event in frame_allocated frame_freed object_retyped object_deleted object_revoked page_mapped page_unmapped \
    page_protected page_migrated table_linked fault call error cache_refilled range_moved; do
    grep -Eq " $event\$" "$out" || fail "$arch: no $event"
  done
  /usr/bin/python3 -c 'import json, sys; assert len(json.load(open(sys.argv[1]))["traceEvents"]) >= int(sys.argv[2])' \
    "$root/build/trace/trace.json" "$events" || fail "$arch: trace.json"
  # A page that a copy on write gave to the child: its fault is two lines down.
  number=$(babeltrace2 "$root/build/trace/ctf/trace" | sed -n 's/.* page_migrated: .*number = \([0-9]*\),.*/\1/p' | head -n 1)
  "$root/quarry" trace --chain "${number:-0}" | grep -Eq '^ +[0-9]+ .* (fault|call) ' || fail "$arch: no cause of event $number"
done
# One word of one record is another one: the tool says where it does not fit.
/usr/bin/python3 - "$image" "$image.bad" <<'END' || fail "the trace cannot be changed"
import struct, sys
image = bytearray(open(sys.argv[1], "rb").read(64 << 20))
at, seen = 512, 0
while image[at:at + 8] == b"QYTRACE1":
    kind, size = struct.unpack_from("<I4xQ", image, at + 8)
    for record in range(at + 64, at + 64 + size, 104) if kind == 1 else ():
        if struct.unpack_from("<I", image, record + 52)[0] == 1:
            seen += 1
            if seen == 50:
                struct.pack_into("<Q", image, record + 56, struct.unpack_from("<Q", image, record + 56)[0] ^ 1)
    at += (64 + size + 511) // 512 * 512
open(sys.argv[2], "wb").write(image)
sys.exit(seen < 50)
END
tool replay "$image.bad" >"$out" 2>&1 && fail "a changed trace is taken for a good one"
grep -Eq 'event [0-9]+ \(frame_' "$out" || fail "a changed trace: $(tail -n 1 "$out")"
rm -f "$image.bad"
"$root/quarry" trace --mem 256M --smp 4 -- trace_ring=2 run=forks >"$out" 2>&1 </dev/null && fail "rings of 16 records lose nothing"
grep -Eq '^tracing: [0-9]+ events, [1-9][0-9]* lost' "$out" || fail "small rings: $(tail -n 2 "$out")"
grep -Eq 'records were lost' "$out" || fail "small rings: the losses are not told"
[ "$failed" -eq 0 ] && echo "all as expected"
exit "$failed"
