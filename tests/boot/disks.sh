#!/bin/sh
# shellcheck disable=SC2317 # functions that are called by the name in a variable
#
# Disks that fail while they are used: slow, gone, shorter, full, damaged, with sectors that cannot be read or written,
# and disks that are a server's (NBD). QEMU makes the trouble: by a filter below the disk, or by its monitor once so many
# writes were done. Both users of a disk: files (user/files/cutting.c) and swap (user/swap/swapping.c).
#
# Whoever has what cannot be had is told so, by an error or a fault; no byte is ever another; nothing hangs; afterwards
# fsck.vfat finds no more than after a power cut. It would miss trouble that QEMU cannot make: a disk that lies about
# files' bytes, which FAT32 has no sums for. With the word all: the slow ones and those that become shorter, too.

set -u
root=$(cd "$(dirname "$0")/../.." && pwd -P) || exit 1
# shellcheck source=tools/common.sh
. "$root/tools/common.sh"
# shellcheck source=tools/machine.sh
. "$root/tools/machine.sh"
# shellcheck source=tests/boot/rounds.sh
. "$root/tests/boot/rounds.sh"

all=${1:-}

# ---- disks ----

# One for rounds with ten of them on it, up to which it is synced.
used_disk() {
  if [ ! -f "$work/used.img" ]; then
    rounds_disk "$disk" 40M 10
    plain
    run_case used 0 '^cutting: round 10 is synced$'
    mv "$disk" "$work/used.img"
  fi
  cp "$work/used.img" "$disk"
  printf '\024' | dd of="$disk" bs=1 seek=$((16 * 512 + 24)) conv=notrunc status=none # rounds wanted: 20
}

swap_disk() {
  rm -f "$disk"
  truncate -s 16M "$disk"
  printf 'quarry swap disk' | dd of="$disk" conv=notrunc status=none
}

# The first of the last half of the sectors of "mapped".
mapped_sector() {
  fat_sectors=$(od -A n -t u4 -j 36 -N 4 "$disk" | tr -d ' ')
  clusters=$(mshowfat -i "$disk" ::/rounds/mapped | sed 's/.*<\([0-9]*\)-\([0-9]*\)>.*/\1 \2/')
  echo $((32 + 2 * fat_sectors + (${clusters% *} + ${clusters#* }) / 2 - 2))
}

plain() {
  m_disk_way="file=$disk" writes=0
}

# ---- machines ----

# Wait until the disk has been written to so often. False: the machine ended first.
wait_for_writes() {
  while kill -0 "$machine" 2>/dev/null; do
    printf 'info blockstats\n' >&3
    done_writes=$(tr -d '\r' <"$work/said" | sed -n 's/.*wr_operations=\([0-9]*\).*/\1/p' | tail -n 1)
    [ "${done_writes:-0}" -lt "$writes" ] || return 0
    sleep 0.02
  done
  return 1
}

# Run the machine on $m_disk_way; after $writes writes (0: never) $event happens. False: it ended before.
run_machine() {
  rm -f "$work/monitor.in" "$work/monitor.out"
  mkfifo "$work/monitor.in" "$work/monitor.out"
  : >"$work/said"
  m_disk=$disk m_more="-monitor pipe:$work/monitor" happened=yes
  machine_qemu >"$work/console" 2>&1 </dev/null &
  machine=$!
  cat "$work/monitor.out" >"$work/said" &
  reader=$!
  exec 3<>"$work/monitor.in"
  if [ "$writes" -ne 0 ]; then
    if wait_for_writes; then $event; else happened=no; fi
  fi
  wait "$machine"
  case_status=$?
  exec 3>&-
  kill "$reader" 2>/dev/null
  wait "$reader" 2>/dev/null
  tr -d '\r' <"$work/console" >"$work/text"
  [ "$happened" = yes ]
}

# run_case NAME CODE SAYS: the exit code, and extended regular expressions, joined by " && ", that the console matches. A
# machine that is through before the script has seen it write is tried again.
run_case() {
  [ "$writes" -eq 0 ] || cp "$disk" "$work/fresh.img"
  case_tries=5
  until run_machine || [ "$case_tries" -eq 0 ]; do
    case_tries=$((case_tries - 1))
    cp "$work/fresh.img" "$disk"
  done
  case_code=$(kernel_code "$case_status")
  [ "$case_code" = "$2" ] || fail "$1: the machine ends with ${case_code:-status $case_status}, not $2: $(grep -E 'FAILED|panic|died' "$work/text" | tail -n 1)"
  case_rest=$3
  while [ -n "$case_rest" ]; do
    case_says=${case_rest%% && *}
    [ "$case_says" != "$case_rest" ] || case_rest="$case_rest && "
    case_rest=${case_rest#*" && "}
    grep -Eq -- "$case_says" "$work/text" || fail "$1: the console does not say: $case_says"
  done
  case_log=disks-$arch-$(echo "$1" | tr -d , | tr ' ' -).log
  cp "$work/text" "$logs/$case_log"
  echo "$arch: $1: $(grep -E '^cutting: after|^swapping: a driver' "$work/text" | tail -n 1); log: build/log/$case_log"
}

vanish() {
  printf 'drive_del data\n' >&3
}

shrink() {
  printf 'block_resize data 1M\n' >&3
}

# Each block but the first becomes another block.
damage() {
  tail -c +8193 "$disk" >"$work/shifted"
  dd if="$work/shifted" of="$disk" bs=4096 seek=1 conv=notrunc status=none
}

# ---- files ----

synced='bytes are as they were, 0 files cannot be read: none is wrong$'
told='^cutting: round [0-9]+: the disk failed$'

looks_cut() { # NAME
  "$cut_log" "$disk" >"$work/looked" 2>&1 || fail "$1: afterwards: $(tail -n 2 "$work/looked" | tr '\n' ' ')"
}

files_cases() {
  rounds_disk "$disk" 40M 200
  plain
  writes=100 event=vanish
  run_case "files, gone" 3 "$told && ^cutting: after [1-9][0-9]* rounds: [0-9]+ bytes are as they were, [1-9][0-9]* files cannot be read: none is wrong$ && FAILED: the disk's driver does not work"
  looks_cut gone

  rounds_disk "$disk" 256K 200
  plain
  run_case "files, full" 0 "^cutting: round [1-9][0-9]*: the disk, or the directory, has no room for it$ && ^cutting: after [1-9][0-9]* rounds: [0-9]+ $synced"
  looks_cut full

  used_disk
  sector=$(mapped_sector)
  m_disk_way="file.driver=blkdebug,file.image.driver=file,file.image.filename=$disk,file.inject-error.0.event=none,file.inject-error.0.iotype=read,file.inject-error.0.errno=5,file.inject-error.0.sector=$sector" writes=0
  run_case "files, a sector that cannot be read" 0 "^cutting: a page of a file that is mapped cannot be had: its reader is told: revoked$ && ^cutting: round 14: the disk failed$ && ^cutting: after 13 rounds: [0-9]+ bytes are as they were, 1 files cannot be read: none is wrong$"

  used_disk
  m_disk_way="file.driver=blkdebug,file.image.driver=file,file.image.filename=$disk,file.inject-error.0.event=none,file.inject-error.0.iotype=write,file.inject-error.0.errno=28,file.inject-error.0.sector=$sector" writes=0
  run_case "files, a sector that the host has no room for" 0 "^cutting: round 18: the disk failed$ && ^cutting: after 17 rounds: [0-9]+ $synced"
  looks_cut "no room on the host"

  used_disk
  fat_sectors=$(od -A n -t u4 -j 36 -N 4 "$disk" | tr -d ' ')
  dd if=/dev/zero of="$disk" bs=512 seek=32 count=$((2 * fat_sectors)) conv=notrunc status=none
  plain
  run_case "files, a table of zeroes" 0 "^files: the disk: the disk breaks the rules of its file system$ && ^cutting: round 11: the disk failed$ && ^cutting: after 10 rounds: 0 bytes are as they were, [1-9][0-9]* files cannot be read: none is wrong$"

  used_disk
  truncate -s 3M "$disk"
  run_case "files, an image cut short" 0 "^files: the disk: the disk breaks the rules of its file system$ && ^cutting: after 10 rounds: 0 bytes are as they were, [1-9][0-9]* files cannot be read: none is wrong$"
}

# ---- swap ----

kept='every byte is as it was$'
lost='who had what could not be kept was told$'

swap_cases() {
  swap_disk
  plain
  m_disk_way="$m_disk_way,throttling.iops-total=500" writes=50 event=vanish
  run_case "swap, gone" 3 "^swapping: a driver's disk of 2048 blocks, [1-9][0-9]* transfers failed: $lost && FAILED: the disk's driver does not work"

  swap_disk
  plain
  m_disk_way="$m_disk_way,throttling.iops-total=500" writes=50 event=damage
  run_case "swap, damaged" 0 "^swapping: a driver's disk of 2048 blocks, 0 transfers failed: $lost"
}

slow_cases() {
  rounds_disk "$disk" 40M 12
  plain
  m_disk_way="$m_disk_way,throttling.iops-total=200"
  run_case "files, slow" 0 "^cutting: after 12 rounds: [0-9]+ $synced"
  looks_cut slow

  rounds_disk "$disk" 40M 200
  plain
  writes=100 event=shrink
  run_case "files, shorter" 0 "$told && ^cutting: after [1-9][0-9]* rounds: [0-9]+ bytes are as they were, [0-9]+ files cannot be read: none is wrong$"

  swap_disk
  plain
  m_disk_way="$m_disk_way,throttling.iops-total=500"
  run_case "swap, slow" 0 "^swapping: a driver's disk of 2048 blocks, 0 transfers failed: $kept"

  swap_disk
  plain
  m_disk_way="$m_disk_way,throttling.iops-total=500" writes=50 event=shrink
  run_case "swap, shorter" 0 "^swapping: a driver's disk of 2048 blocks, [1-9][0-9]* transfers failed: $lost"
}

# ---- disks of a server ----

nbd_serve() {
  rm -f "$work/nbd"
  qemu-nbd --format=raw --socket="$work/nbd" --pid-file="$work/nbd.pid" --shared=2 --persistent "$disk" >"$work/nbd.log" 2>&1 &
  server=$!
  tries=250
  until [ -S "$work/nbd" ] || [ "$tries" -eq 0 ]; do
    tries=$((tries - 1))
    sleep 0.02
  done
  m_disk_way="file=nbd+unix:///?socket=$work/nbd" writes=0 # as ./quarry run --disk hands it on
}

nbd_end() {
  kill "$server" 2>/dev/null
  wait "$server" 2>/dev/null
}

leave() {
  kill -9 "$server" 2>/dev/null
}

nbd_cases() {
  rounds_disk "$disk" 40M 12
  nbd_serve
  run_case "files, on NBD" 0 "^cutting: after 12 rounds: [0-9]+ $synced"
  nbd_end
  looks_cut NBD

  swap_disk
  nbd_serve
  run_case "swap, on NBD" 0 "^swapping: a driver's disk of 2048 blocks, 0 transfers failed: $kept"
  nbd_end

  [ "$all" = all ] || return 0
  swap_disk
  nbd_serve
  m_disk_way="$m_disk_way,throttling.iops-total=500" writes=50 event=leave
  run_case "swap, on NBD whose server is killed" 3 "^swapping: a driver's disk of 2048 blocks, [1-9][0-9]* transfers failed: $lost"
  nbd_end
}

disks() {
  disk=$work/disk.img
  [ "$all" != all ] || slow_cases
  for cases in files_cases swap_cases nbd_cases; do
    [ "$failed" -ne 0 ] || $cases
  done
}

both_archs disks disks nbd
