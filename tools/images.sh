# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables shared with the script that sources this; set -u finds a misspelt one
# Images that firmware boots. Sourced after common.sh.

# make_iso OUTPUT KERNEL ARCHIVE WORDS SECONDS: an ISO for BIOS and UEFI, with GRUB. An empty ARCHIVE leaves it out.
# SECONDS: how long GRUB's menu waits; 0 = no menu, and the machine ends if the kernel cannot be loaded.
make_iso() {
  iso_dir=$(mktemp -d) || return 1
  mkdir -p "$iso_dir/boot/grub"
  cp "$2" "$iso_dir/boot/quarry.elf"
  iso_module=
  if [ -n "$3" ]; then
    cp "$3" "$iso_dir/boot/boot.cpio"
    iso_module='module2 /boot/boot.cpio'
  fi
  {
    printf '%s\n' 'serial --unit=0 --speed=115200' 'terminal_input console serial' 'terminal_output console serial'
    if [ "$5" -eq 0 ]; then
      # No menu. What GRUB cannot load ends the machine instead of waiting for a key.
      printf '%s\n' "multiboot2 /boot/quarry.elf $4" "$iso_module" boot halt
    else
      cat <<END
set timeout=$5
menuentry "Quarry: run the demonstration and switch off" {
  multiboot2 /boot/quarry.elf $4
  $iso_module
}
menuentry "Quarry: the same, then a prompt on the serial console" {
  multiboot2 /boot/quarry.elf interactive $4
  $iso_module
}
END
    fi
  } >"$iso_dir/boot/grub/grub.cfg"
  grub-mkrescue -o "$1" "$iso_dir" --fonts= --themes= --locales= \
    "--install-modules=multiboot2 normal serial terminal halt boot" -- -volid QUARRY
  iso_status=$?
  rm -rf "$iso_dir"
  return "$iso_status"
}

# make_disk OUTPUT APPLICATION WORDS: a FAT file system with a UEFI application for RISC-V. It reads its command line
# from \quarry.cmd.
make_disk() {
  rm -f "$1"
  disk_kib=$((($(wc -c <"$2") + 1023) / 1024 + 2048))
  truncate -s "${disk_kib}K" "$1" &&
    mformat -i "$1" -v QUARRY -T $((disk_kib * 2)) -h 16 -s 63 :: &&
    mmd -i "$1" ::/EFI ::/EFI/BOOT &&
    mcopy -i "$1" "$2" ::/EFI/BOOT/BOOTRISCV64.EFI &&
    printf '%s\n' "$3" | mcopy -i "$1" - ::/quarry.cmd
}
