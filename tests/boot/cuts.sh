#!/bin/sh
# shellcheck disable=SC2317 # functions that are called by the name in a variable
#
# Power cuts: Quarry writes files round by round, and says which rounds are synced (user/files/cutting.c).
#
#   log    QEMU keeps a log of writes and flushes; the disk as it may be after a cut at every entry of it is looked at
#          (tests/fat/cut_log.c), and on some of these disks Quarry is booted: it mounts, finds what was synced, goes on
#   kill   QEMU is killed at a round; fsck.vfat and mtools look at the image, a second boot mounts it and goes on, again
#          and again, to the last round
#
# It would miss a disk that loses what it was told to flush: QEMU's do not. With the word all: more of each.

set -u
root=$(cd "$(dirname "$0")/../.." && pwd -P) || exit 1
# shellcheck source=tools/common.sh
. "$root/tools/common.sh"
# shellcheck source=tools/machine.sh
. "$root/tools/machine.sh"
# shellcheck source=tests/boot/rounds.sh
. "$root/tests/boot/rounds.sh"

log_rounds=20 booted_cuts=1 kill_rounds=50 kills='6 15' seed=1
[ "${1:-}" != all ] || log_rounds=160 booted_cuts=12 kill_rounds=240 kills='1 2 3 5 8 12 13 14 15 16 17 18 19 20 31 50 70 90 91 92 93 94 120 150'

# boot IMAGE CONSOLE: to its end.
boot() {
  m_disk=$1
  machine_qemu >"$2.raw" 2>&1 </dev/null
  boot_status=$?
  tr -d '\r' <"$2.raw" >"$2"
  [ "$(kernel_code "$boot_status")" = 0 ] || fail "a boot on ${1##*/} ends with status $boot_status: $(grep -E 'cutting:|FAILED|panic' "$2" | tail -n 1); console: ${2#"$root/"}"
}

# The rounds that a boot found said to be synced, every byte as it was; nothing if it did not.
found_rounds() { # CONSOLE
  sed -n 's/^cutting: after \([0-9]*\) rounds: [0-9]* bytes are as they were, 0 files cannot be read: none is wrong$/\1/p' "$1" | head -n 1
}

went_on_to_the_end() { # CONSOLE
  grep -q "^cutting: after $rounds rounds: [0-9]* bytes are as they were, 0 files cannot be read: none is wrong\$" "$1" ||
    fail "it does not go on to round $rounds; console: ${1#"$root/"}"
}

# ---- a cut at any write ----

log_cuts() {
  rounds=$log_rounds
  rounds_disk "$work/disk.img" 4M "$rounds"
  cp "$work/disk.img" "$work/base.img"
  : >"$work/log"
  m_disk_way="file.driver=blklogwrites,file.file.driver=file,file.file.filename=$work/disk.img,file.log.driver=file,file.log.filename=$work/log"
  boot "$work/disk.img" "$work/logged"
  m_disk_way=
  went_on_to_the_end "$work/logged"
  "$cut_log" "$work/base.img" "$work/log" >"$work/cuts" 2>&1 || fail "cut_log: $(tail -n 2 "$work/cuts" | tr '\n' ' ')"
  echo "$arch: $(tail -n 1 "$work/cuts")"
  entries=$(sed -n 's/.* at \([0-9]*\) entries.*/\1/p' "$work/cuts")
  n=0
  while [ "$n" -lt "$booted_cuts" ] && [ "$failed" -eq 0 ]; do
    n=$((n + 1))
    made=$("$cut_log" "$work/base.img" "$work/log" $((entries * n / (booted_cuts + 1) + n)) "$((seed + n))" "$work/cut.img")
    boot "$work/cut.img" "$work/cut"
    [ "$(found_rounds "$work/cut")" = "${made%% *}" ] || fail "a disk cut at an entry of the log ($made) has not what was synced; console: ${work#"$root/"}/cut"
    went_on_to_the_end "$work/cut"
    echo "$arch: booted on a disk cut after $made: every byte is there, and it went on"
  done
}

# ---- the emulator is killed ----

# The last round that a boot has said to be synced; nothing if none.
synced_round() { # CONSOLE
  tr -d '\r' <"$1" | sed -n 's/^cutting: round \([0-9]*\) is synced$/\1/p' | tail -n 1
}

# Kill the machine when it has synced that round, or a later one if it began with that.
kill_at() { # ROUND CONSOLE
  : >"$2.raw"
  m_more="-pidfile $work/pid"
  rm -f "$work/pid"
  machine_qemu >"$2.raw" 2>&1 </dev/null &
  runner=$!
  tries=$((limit * 50))
  while round_now=$(synced_round "$2.raw") && [ "${round_now:-0}" -lt "$1" ] && kill -0 "$runner" 2>/dev/null; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || break
    sleep 0.02
  done
  [ ! -s "$work/pid" ] || kill -9 "$(cat "$work/pid")" 2>/dev/null
  wait "$runner" 2>/dev/null
  m_more=
  tr -d '\r' <"$2.raw" >"$2"
}

# The disk is slow, so that the machine is still at it when it is killed.
kill_cuts() {
  rounds=$kill_rounds
  rounds_disk "$work/killed.img" 40M "$rounds"
  m_disk=$work/killed.img said=0
  for round in $kills; do
    m_disk_way="file=$work/killed.img,throttling.iops-total=250"
    kill_at "$round" "$work/killed"
    m_disk_way=
    found=$(found_rounds "$work/killed")
    [ "${found:--1}" -ge "$said" ] || fail "the boot after a kill at round $said finds ${found:-not all} of it; console: ${work#"$root/"}/killed"
    said=$(synced_round "$work/killed.raw")
    [ "${said:-0}" -ge "$round" ] || fail "round $round was not reached; console: ${work#"$root/"}/killed"
    "$cut_log" "$work/killed.img" >"$work/looked" 2>&1 || fail "the disk of a machine that was killed at round $said: $(tail -n 3 "$work/looked" | tr '\n' ' ')"
    [ "$failed" -eq 0 ] || return
    echo "$arch: killed after round $said: fsck.vfat and mtools find what was synced"
  done
  boot "$work/killed.img" "$work/last"
  found=$(found_rounds "$work/last")
  [ "${found:--1}" -ge "$said" ] || fail "the last boot finds ${found:-not all} of $said rounds; console: ${work#"$root/"}/last"
  went_on_to_the_end "$work/last"
  echo "$arch: the last boot found $found rounds, and went on to round $rounds"
}

cuts() {
  echo "$arch: power cuts: by a log of every write, and by killing the machine"
  log_cuts
  [ "$failed" -ne 0 ] || kill_cuts
}

both_archs cuts cuts
