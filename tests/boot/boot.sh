#!/bin/sh
# Run one line of the matrix: boot.sh "LINE". Prints one line with the verdict, and appends "KIND COUNT" to
# build/test/results. The console's log is build/log/NAME.log.
#
# The verdict needs both the exit device (the emulator's status) and the console's last line, "quarry: exit N". Passing
# the time limit is a hang, told apart from a failure.

set -u
root=$(cd "$(dirname "$0")/../.." && pwd -P) || exit 1
# shellcheck source=tools/common.sh
. "$root/tools/common.sh"
# shellcheck source=tools/machine.sh
. "$root/tools/machine.sh"
# shellcheck source=tools/images.sh
. "$root/tools/images.sh"
# shellcheck source=tests/boot/result.sh
. "$root/tests/boot/result.sh"

# ---- preparing ----

read_line() { # ARCH PATH CPUS MEMORY VARIANT EXIT MUST-SAY...
  machine_defaults
  m_arch=$1 m_path=$2 m_cpus=$3 m_memory=$4 variant=$5 want=$6
  shift 6
  says=$*
  compiler=clang profile=default archive=good typing=no tree='' disk='' behind=''
  limit=$(limit_of "$m_path")
  for word in $(echo "$variant" | tr + ' '); do
    case $word in
    cpu:*) m_cpu=${word#cpu:} ;;
    numa:*) m_nodes=${word#numa:} ;;
    words:*) m_words="$m_words${m_words:+ }${word#words:}" ;;
    compiler:*) compiler=${word#compiler:} ;;
    profile:*) profile=${word#profile:} ;;
    archive:*) archive=${word#archive:} ;;
    tree:*) tree=${word#tree:} ;;
    by:*) behind=${word#by:} ;;
    disk:*) disk=${word#disk:} m_words="$m_words${m_words:+ }disk" ;;
    turns) m_more='-accel tcg,thread=single' ;;
    counted) m_more='-icount shift=0,sleep=off' ;;
    typing) typing=yes m_words=interactive limit=$((limit * 3)) ;;
    typing:leaks) typing=yes m_words='interactive heap=track' session=$leaks_session session_says=$leaks_says ;;
    long) limit=$((limit * 3)) ;;
    esac
  done
  case $m_words in # CPUs that wait for each other, on a host that has fewer
  stress*) limit=$((limit * 5)) ;;
  *run=sort*) limit=$((limit * 3)) ;; # a disk of many turns
  esac
  m_seconds=$limit
}

limit_of() { # seconds, several times of what a loaded machine needs; QUARRY_TEST_SECONDS sets it for all
  case $1 in
  bochs) echo "${QUARRY_TEST_SECONDS:-150}" ;;
  uefi | uboot) echo "${QUARRY_TEST_SECONDS:-90}" ;;
  *) echo "${QUARRY_TEST_SECONDS:-60}" ;;
  esac
}

# The boot archive of a kind, made from the good one.
prepare_archive() { # GOOD
  m_archive=$files/boot.cpio
  case $archive in
  good) m_archive=$1 ;;
  none) m_archive= ;;
  empty) printf '' | (cd "$files" && cpio --quiet -o -H newc >"$m_archive") ;;
  random) head -c 20000 /dev/urandom >"$m_archive" ;;
  truncated) head -c $(($(wc -c <"$1") / 2)) "$1" >"$m_archive" ;;
  foreign) LC_ALL=C sed -b 's/\([0-9a-f]\{20\}\)[0-9a-f]\{20\}$/\112345678901234567890/' "$1" >"$m_archive" ;;
  damaged) LC_ALL=C sed -b 's/^0\([0-9a-f]\{7\}\) 8$/7\1 8/' "$1" >"$m_archive" ;;
  rootless)
    echo hello >"$files/motd"
    (cd "$files" && echo motd | cpio --quiet -o -H newc >"$m_archive")
    ;;
  esac
}

# The machine's own device tree, changed.
prepare_tree() {
  blob=$files/tree.dtb
  tree_dump "$blob" >"$files/tree.log" 2>&1
  case $tree in
  nomemory) fdtput -r "$blob" /memory@80000000 ;;
  short) fdtput -t x "$blob" /memory@80000000 reg 0 80000000 0 400000 ;;
  kept)
    dtc -q -I dtb -O dts "$blob" | sed 's#^/dts-v1/;#&\n/memreserve/ 0x84000000 0x10000;#' >"$files/tree.dts"
    dtc -q -I dts -O dtb -o "$blob" "$files/tree.dts"
    ;;
  esac
  m_more="-dtb $blob"
}

# ---- a disk ----

disk_sectors=2051 # no multiple of what a client moves at a time

# A disk for pages of a program; one that is too small for them, or of which some blocks cannot be read.
prepare_swap() {
  m_disk=$files/disk.img
  m_disk_by=pci
  [ "$m_arch" != riscv64 ] || m_disk_by=registers
  swap_size=16M
  [ "$disk" != swap-small ] || swap_size=1M
  [ "$disk" != swap-large ] || swap_size=2G
  echo "quarry swap disk" >"$m_disk"
  truncate -s "$swap_size" "$m_disk"
  if [ "$disk" = swap-broken ]; then # the emulator takes no colon in these names
    for swap_sector in 40 80 120 160 200 240 280 320 360 400 440 480 520 560 600 640 680 720 760 800; do
      printf '[inject-error]\nevent = "read_aio"\nerrno = "5"\nsector = "%s"\n' "$swap_sector"
    done >"$build/test/broken-$m_arch"
    m_disk=blkdebug:$build/test/broken-$m_arch:$build/test/broken-$m_arch.img
    ln -sf "$files/disk.img" "$build/test/broken-$m_arch.img"
  fi
}

# Nothing that the programs wrote stands on it as they wrote it, and something does.
swap_is_sealed() {
  ! grep -q 'xet egap' "$files/disk.img" && [ "$(tr -d '\0' <"$files/disk.img" | wc -c)" -gt 100000 ]
}

# An empty FAT32 on which a program sorts; afterwards its file is in order.
prepare_sort() {
  m_disk=$files/disk.img
  m_disk_by=pci
  [ "$m_arch" != riscv64 ] || m_disk_by=registers
  truncate -s 256M "$m_disk"
  PATH=$PATH:/usr/sbin:/sbin mkfs.vfat -F 32 -s 4 -n "QUARRY FILE" "$m_disk" >"$files/mkfs.log" 2>&1
}

sort_is_right() {
  mcopy -n -i "$m_disk" ::/sorted "$files/sorted" && [ "$(wc -c <"$files/sorted")" -ge 10485760 ] &&
    head -c 2097152 "$files/sorted" | od -A n -v -t u8 -w8 | tr -d ' ' | sort -n -c &&
    ! mcopy -n -i "$m_disk" ::/numbers "$files/numbers" 2>>"$files/mkfs.log"
}

# A FAT32 for the file server, by other people's tools, with a file that stays and one that goes.
prepare_files() {
  m_disk=$files/disk.img
  m_disk_by=pci
  [ "$m_arch" != riscv64 ] || m_disk_by=registers
  echo kept >"$files/kept.txt"
  truncate -s 40M "$m_disk"
  {
    PATH=$PATH:/usr/sbin:/sbin mkfs.vfat -F 32 -s 1 -n "QUARRY FILE" "$m_disk"
    mcopy -i "$m_disk" "$files/kept.txt" ::/kept.txt
    mcopy -i "$m_disk" "$files/kept.txt" ::/gone.txt
  } >"$files/mkfs.log" 2>&1
}

# The machine was switched off without unmounting: fsck.vfat says that and no more, and what was synced is there.
files_are_right() {
  PATH=$PATH:/usr/sbin:/sbin fsck.vfat -n "$m_disk" >"$files/fsck.log" 2>&1
  ! grep -Ev '^fsck.fat|differences between boot sector|mostly harmless|65:01/00|Not automatically|^Dirty bit|Automatically removing|^Free cluster summary|^Leaving|: [0-9]+ files, |^Reclaimed|^$' \
    "$files/fsck.log" || return 1
  mcopy -n -i "$m_disk" "::/mapped file" "$files/mapped" && [ "$(wc -c <"$files/mapped")" -eq 40960 ] &&
    [ "$(tail -c +4097 "$files/mapped" | head -c 16)" = "synced by quarry" ] &&
    [ "$(od -A n -t x8 -N 8 "$files/mapped" | tr -d ' ')" = 9e3779b97f4a7c1c ] &&
    [ "$(mcopy -n -i "$m_disk" "::/folder/of another name" -)" = written ] &&
    [ "$(mcopy -n -i "$m_disk" ::/kept.txt -)" = kept ] &&
    ! mcopy -n -i "$m_disk" ::/gone.txt "$files/gone" 2>>"$files/mkfs.log"
}

# An image that root's client of the disk takes for one that it may write to; what it says is different each time.
prepare_disk() {
  m_disk=$files/disk.img
  m_disk_by=$disk
  case $disk in
  swap*)
    prepare_swap
    return
    ;;
  files)
    prepare_files
    return
    ;;
  sort)
    prepare_sort
    return
    ;;
  esac
  disk_says="quarry test disk $$"
  [ "$disk" != read-only ] || m_disk_by=pci m_disk_only=on
  head -c $((disk_sectors * 512)) /dev/zero >"$m_disk"
  echo "$disk_says" | dd of="$m_disk" conv=notrunc status=none
  if [ "$disk" = read-only ]; then
    cp "$m_disk" "$files/disk.wanted"
    says="${says:+$says && }disk: number 0, virtio by PCI && of a disk that can only be read"
    return
  fi
  head -c 512 "$m_disk" >"$files/disk.wanted"
  awk "BEGIN { for (i = 32; i < $disk_sectors * 32; i++) printf \"quarry %08d\n\", i }" >>"$files/disk.wanted"
  [ "$disk" = pci ] && by=PCI || by=registers
  says="${says:+$says && }disk: number 0, virtio by $by && disk: it says: $disk_says"
  says="$says && disk: $((disk_sectors - 1)) sectors written and read back, [1-9][0-9]* interrupts"
}

prepare() {
  folder=$(build_dir "$m_arch" "$compiler" "$profile")
  m_kernel=$folder/kernel/quarry.elf
  files=$build/test/$(file_name "$name")
  rm -rf "$files"
  mkdir -p "$files" "$logs"
  prepare_archive "$folder/user/boot.cpio"
  [ -z "$tree" ] || prepare_tree
  [ -z "$disk" ] || prepare_disk
  [ -z "$behind" ] || m_disk_by=$behind
  case $m_path in
  bios | uefi | bochs)
    m_image=$files/quarry.iso
    make_iso "$m_image" "$m_kernel" "$m_archive" "$m_words" 0 >"$files/iso.log" 2>&1
    ;;
  uboot)
    m_image=$files/quarry.img
    make_disk "$m_image" "$folder/arch/riscv64/efi/BOOTRISCV64.EFI" "$m_words" >"$files/disk.log" 2>&1
    ;;
  esac
}

# ---- a session at the prompt ----

# completed, taken out of the history; programs behind the prompt, looked at and ended
session='help mem untyped caps maps slab slabinfo buddyinfo cpus calls nu\t run_hello_you \020 run_memtest_1_plant nonsense'
session="$session run_sleep_600_& ps maps_1 smaps_1 processes snapshot_here swap kill_1 swap kill_1 stress_2 halt"

# Type a line whenever the prompt stands at the console's end; gives up by itself after the time limit.
type_session() { # CONSOLE
  typed=0
  tries=$((limit * 10))
  for command in $session; do
    while [ "$(tr -d '\r' <"$1" | grep -c '^quarry> ')" -le "$typed" ]; do
      tries=$((tries - 1))
      [ "$tries" -gt 0 ] || return
      sleep 0.1
    done
    typed=$((typed + 1))
    printf '%b\r' "$command" | tr _ ' '
  done
  sleep 5
}

session_says='mem +where the RAM is && objects of +bytes +live && halt +switch the machine off && use of RAM && all together && rights: r = &&'
session_says="$session_says quarry> numa$ && call +times +longest stretch && order of use && r-x +4 KiB && ^hello: you && run: hello ended with code 0 && memtest: zeroes: at .* is 0x0000000000020000, not 0x0000000000000000 && run: memtest ended with code 1 && there is no command \"nonsense\""
session_says="$session_says && ^   job 1$ && 1 +sleep +waiting && rw- +4 KiB +stack && run: sleep was killed && there is no job 1;.*ps lists them"
session_says="$session_says && 1 +sleep +[0-9]+ +0 +0\.0 +0 +0 +0 of [0-9]+ +[0-9]+ of [0-9]+$ && ^   no program has pages that may go$"
session_says="$session_says && active_objs +num_objs && 0 +(DMA32|Normal) +[0-9]+ && Size +Rss +Pss && [0-9]+ +sleep +[0-9]+ +[0-9.]+ [KM]iB"
session_says="$session_says && \"label\":\"here\" && ^.\[1,[0-9]+,[0-9]+,0,0,\"sleep\"\]$"
session_says="$session_says && 2 programs run && quarry> halt"

# A leak is planted and looked for; blanks in a command are written "_".
leaks_session='leaks leaks_since leaks_mark leak leaks_since profile leaks_of halt'
leaks_says='live longest: && marked: the latest object is && made 3 frames of 8 KiB out of untyped [0-9]+, forgot them'
leaks_says="$leaks_says && [0-9] +untyped_retype +object\.c:[0-9]+ frame +3 +24\.1 KiB && made at +live +memory +since boot"
leaks_says="$leaks_says && there is no command \"leaks of\" && quarry> halt"

# ---- running and judging ----

run_machine() { # CONSOLE
  case $m_path-$typing in
  bochs-*) machine_bochs "$files" >"$1" 2>&1 ;;
  *-yes)
    mkfifo "$files/keys"
    : >"$1" # or the prompts of an earlier run would be answered
    type_session "$1" >"$files/keys" 2>/dev/null &
    machine_qemu <"$files/keys" >"$1" 2>&1
    ;;
  *) machine_qemu </dev/null >"$1" 2>&1 ;;
  esac
}

# What every boot that is to succeed says.
good_boot_says() {
  case $m_path in
  pvh) printf 'booted by PVH' ;;
  bios | bochs) printf 'booted by Multiboot2.*firmware memory map' ;;
  uefi) printf 'booted by Multiboot2.*UEFI memory map' ;;
  opensbi) printf 'booted by OpenSBI' ;;
  uboot) printf 'booted by UEFI.*UEFI memory map' ;;
  esac
  printf ' && CPUs: %s of %s run; nodes: %s' "$m_cpus" "$m_cpus" "$m_nodes"
  # The minimal profile leaves the kernel's report out; the root task's own sums say as much.
  case $profile in
  default | debug) printf ' && memory: total usable .* difference 0$' ;;
  *) printf ' && the firmware reported [0-9]+ bytes of RAM; difference: 0$' ;;
  esac
  printf ' && root: all checks held && ^checked: .* all invariants hold$'
}

# The first expression that the console does not match, if any.
first_unsaid() { # CONSOLE EXPRESSIONS
  rest=$2
  while [ -n "$rest" ]; do
    expression=${rest%% && *}
    [ "$expression" != "$rest" ] || rest="$rest && "
    rest=${rest#*" && "}
    if ! grep -Eq -- "$expression" "$1"; then
      echo "$expression"
      return
    fi
  done
}

# Sets verdict (ok, FAIL, HANG) and reason.
judge() { # STATUS CONSOLE
  verdict=FAIL
  tr -d '\r\000' <"$2" >"$2.text"
  last=$(grep -v '^[[:space:]]*$' "$2.text" | tail -n 1)
  code=$(kernel_code "$1")
  case $m_path in
  bochs) code=$want ;; # its status says nothing
  esac
  case $1 in
  124 | 137) verdict=HANG reason="no end after $m_seconds s; last line: $last" && return ;;
  esac
  [ -n "$code" ] || { reason="the emulator ended with status $1, not through the exit device; last line: $last" && return; }
  [ "$last" = "quarry: exit $code" ] || { reason="the last line is not 'quarry: exit $code': $last" && return; }
  [ "$code" -eq "$want" ] ||
    { reason="exit code $code, expected $want: $(grep -E 'stop:|panic:|FAILED|NOT OK' "$2.text" | head -n 1)" && return; }
  expected=$says
  [ "$want" -ne 0 ] || expected="$(good_boot_says)${says:+ && $says}"
  [ "$typing" = no ] || expected="$expected && $session_says"
  unsaid=$(first_unsaid "$2.text" "$expected")
  [ -z "$unsaid" ] || { reason="the console does not say: $unsaid" && return; }
  [ "$want" -ne 1 ] || [ "$(grep -c '^quarry: stop: ' "$2.text")" -eq 1 ] ||
    { reason="there is not one stop line but $(grep -c '^quarry: stop: ' "$2.text")" && return; }
  if [ "${disk#swap}" != "$disk" ]; then
    swap_is_sealed || { reason="what programs wrote stands on the disk as it was, or nothing does" && return; }
  elif [ "$disk" = sort ]; then
    sort_is_right >"$files/files.log" 2>&1 || { reason="the file on the disk is not sorted" && return; }
  elif [ "$disk" = files ]; then
    files_are_right >"$files/files.log" || { reason="what was synced is not on the disk, or fsck.vfat complains" && return; }
  elif [ -n "$disk" ] && ! cmp "$m_disk" "$files/disk.wanted" >"$files/disk.differs"; then
    reason="the disk's image does not hold what was to be written: $(cat "$files/disk.differs")"
    return
  fi
  verdict=ok reason=
}

# A reason why this machine cannot be had here, if any.
cannot() {
  if [ "$(size_bytes "$m_memory")" -gt 17179869184 ] && [ "$(cat /proc/sys/vm/overcommit_memory 2>/dev/null)" = 2 ]; then
    echo "this host does not let a process reserve more memory than it has (vm.overcommit_memory = 2)"
  fi
}

main() {
  # shellcheck disable=SC2086 # the columns of the line
  read_line $1
  name=$(test_name "$1")
  why=$(cannot)
  if [ -n "$why" ]; then
    result skip "$name" 0 "$why"
    return
  fi
  prepare
  console=$logs/$(file_name "$name").log
  begin=$(now)
  run_machine "$console"
  judge $? "$console"
  rm -f "$console.text"
  [ "$verdict" != ok ] || rm -rf "$files"
  result "$verdict" "$name" $(($(now) - begin)) "$reason" "$console"
}

set -f # the matrix holds regular expressions, no patterns for files
main "$1"; exit # and read no further: the file may be edited meanwhile
