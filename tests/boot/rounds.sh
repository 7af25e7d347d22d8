# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables shared with the script that sources this; set -u finds a misspelt one
# What the scripts share that boot Quarry on disks with rounds of files (user/files/rounds.h): the disks, and both
# architectures beside each other. Sourced after machine.sh; sets limit, failed, cut_log, and for each architecture arch,
# work and m_*.

limit=${QUARRY_TEST_SECONDS:-60}
failed=0

fail() {
  echo "FAIL: $arch: $*"
  failed=1
}

# A FAT32 for so many rounds: 4 MiB will do for us, 40 MiB is one for everybody.
rounds_disk() { # IMAGE SIZE ROUNDS
  rm -f "$1"
  truncate -s "$2" "$1"
  if ! PATH=$PATH:/usr/sbin:/sbin mkfs.vfat -F 32 -s 1 -n "QUARRY CUTS" "$1" >"$work/mkfs.log" 2>&1 ||
    ! "$cut_log" "$1" until "$3" >>"$work/mkfs.log"; then
    fail "no disk could be made: $(tr '\n' ' ' <"$work/mkfs.log")"
  fi
}

# one_arch NAME ARCH COMMAND: the command for that architecture, in a folder of its own. Returns whether something failed.
one_arch() {
  arch=$2 work=$build/test/$1-$2
  machine_defaults
  m_arch=$arch m_memory=128M m_words=disk m_seconds=$limit m_disk_by=pci
  [ "$arch" = x86_64 ] || m_path=opensbi m_disk_by=registers
  kernel_dir=$(build_dir "$arch" clang default)
  m_kernel=$kernel_dir/kernel/quarry.elf m_archive=$kernel_dir/user/boot.cpio
  rm -rf "$work"
  mkdir -p "$work" "$logs"
  $3
  [ "$failed" -ne 0 ] || rm -rf "$work"
  return "$failed"
}

# both_archs NAME COMMAND PACKAGES...: and the verdict.
both_archs() {
  both_name=$1 both_command=$2
  shift 2
  need hosted emulator-x86_64 emulator-riscv64 "$@"
  build_hosted plain
  cut_log=$build/hosted/tests/fat/cut_log
  build_kernel riscv64 clang default
  build_kernel x86_64 clang default
  one_arch "$both_name" x86_64 "$both_command" &
  both_other=$!
  one_arch "$both_name" riscv64 "$both_command" || failed=1
  wait "$both_other" || failed=1
  [ "$failed" -ne 0 ] || echo "all as expected"
  exit "$failed"
}
