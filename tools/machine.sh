# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables shared with the script that sources this; set -u finds a misspelt one
# Emulated machines: one description in m_* variables, one function for each emulator. Sourced after common.sh.
#
#   m_arch     x86_64, riscv64
#   m_path     how the kernel gets in: pvh, bios, uefi, bochs; opensbi, uboot
#   m_cpus     number of CPUs              m_memory   size as QEMU writes it: 128M, 2G
#   m_nodes    number of NUMA nodes        m_cpu      CPU model, or empty for the default of this file
#   m_kernel   ELF file (pvh, opensbi)     m_archive  boot archive, or empty for none
#   m_image    ISO or disk image (the others)
#   m_words    the kernel's command line (pvh, opensbi; images carry their own)
#   m_seconds  time limit, 0 = none        m_more     further words for QEMU
#   m_disk     raw image of a disk, or empty for none; m_disk_by: pci, registers (riscv64); m_disk_only: on = to be read only
#   m_disk_way QEMU's words for what lies between the image and the machine, or empty: a log of writes, errors, a limit
#
# The machine's console is standard input and output.

machine_defaults() {
  m_arch=x86_64 m_path=pvh m_cpus=1 m_memory=2G m_nodes=1 m_cpu='' m_kernel='' m_archive='' m_image=''
  m_words='' m_seconds=0 m_more='' m_disk='' m_disk_by=pci m_disk_only=off m_disk_way=''
}

# Bytes of a size such as 512K, 128M, 2G, 1T; a bare number is in MiB, as for QEMU. Nothing if it is no size.
size_bytes() {
  case $1 in
  *[!0-9KMGTkmgt]* | [!1-9]* | '' | *[KMGTkmgt]?* | ????????*) return 1 ;;
  *[Kk]) echo "$((${1%?} * 1024))" ;;
  *[Gg]) echo "$((${1%?} * 1024 * 1024 * 1024))" ;;
  *[Tt]) echo "$((${1%?} * 1024 * 1024 * 1024 * 1024))" ;;
  *) echo "$((${1%[Mm]} * 1024 * 1024))" ;;
  esac
}

# QEMU's words for memory and nodes, one a line. The host reserves nothing, so that a machine may be larger than it.
memory_words() {
  printf '%s\n' -m "$((memory_bytes / 1048576))M" -smp "$m_cpus"
  if [ "$m_nodes" -eq 1 ]; then
    printf '%s\n' -object "memory-backend-ram,id=ram,size=$memory_bytes,reserve=off"
    return
  fi
  # Nodes of whole MiB; the last takes the rest. CPUs in blocks.
  node_bytes=$((memory_bytes / m_nodes / 2097152 * 2097152))
  node=0
  while [ "$node" -lt "$m_nodes" ]; do
    size=$node_bytes
    [ "$node" -lt $((m_nodes - 1)) ] || size=$((memory_bytes - node_bytes * (m_nodes - 1)))
    first=$((m_cpus * node / m_nodes))
    last=$((m_cpus * (node + 1) / m_nodes - 1))
    printf '%s\n' -object "memory-backend-ram,id=ram$node,size=$size,reserve=off"
    if [ "$first" -le "$last" ]; then
      printf '%s\n' -numa "node,nodeid=$node,memdev=ram$node,cpus=$first-$last"
    else
      printf '%s\n' -numa "node,nodeid=$node,memdev=ram$node"
    fi
    node=$((node + 1))
  done
  # Every node has to be there before any distance: nearest neighbours 15, then 5 more a step.
  from=0
  while [ "$from" -lt "$m_nodes" ]; do
    to=$((from + 1))
    while [ "$to" -lt "$m_nodes" ]; do
      printf '%s\n' -numa "dist,src=$from,dst=$to,val=$((10 + 5 * (to - from)))"
      to=$((to + 1))
    done
    from=$((from + 1))
  done
}

# The device tree that QEMU would make for this machine, with one node, into the file $1.
tree_dump() {
  qemu-system-riscv64 -machine "virt,dumpdtb=$1" -m "$m_memory" -smp "$m_cpus" -display none -bios none
}

# QEMU's virt machine takes up to four nodes. More come as a device tree, in the file $1: in a line as those of
# memory_words, with the CPUs in blocks.
tree_nodes() {
  blob=$1
  tree_dump "$blob" >/dev/null 2>&1 || return 1
  fdtput -r "$blob" /memory@80000000
  distances='' node=0
  node_bytes=$((memory_bytes / m_nodes / 2097152 * 2097152))
  while [ "$node" -lt "$m_nodes" ]; do
    base=$((0x80000000 + node * node_bytes)) size=$node_bytes
    [ "$node" -lt $((m_nodes - 1)) ] || size=$((memory_bytes - node_bytes * node))
    memory=/memory@$(printf %x $base)
    fdtput -c "$blob" "$memory"
    fdtput -t s "$blob" "$memory" device_type memory
    fdtput -t x "$blob" "$memory" reg "$(printf %x $((base >> 32)))" "$(printf %x $((base & 0xffffffff)))" \
      "$(printf %x $((size >> 32)))" "$(printf %x $((size & 0xffffffff)))"
    fdtput -t u "$blob" "$memory" numa-node-id "$node"
    cpu=$((m_cpus * node / m_nodes))
    while [ "$cpu" -lt $((m_cpus * (node + 1) / m_nodes)) ]; do
      fdtput -t u "$blob" "/cpus/cpu@$(printf %x "$cpu")" numa-node-id "$node"
      cpu=$((cpu + 1))
    done
    to=0
    while [ "$to" -lt "$m_nodes" ]; do
      distances="$distances $node $to $((10 + 5 * (node > to ? node - to : to - node)))"
      to=$((to + 1))
    done
    node=$((node + 1))
  done
  fdtput -c "$blob" /distance-map
  fdtput -t s "$blob" /distance-map compatible numa-distance-map-v1
  # shellcheck disable=SC2086 # numbers
  fdtput -t u "$blob" /distance-map distance-matrix $distances
}

# Run QEMU. Returns its exit status; 124 when the time limit passed.
machine_qemu() {
  memory_bytes=$(size_bytes "$m_memory")
  memory_option='' tree_file='' qemu_nodes=$m_nodes
  if [ "$m_arch" = riscv64 ] && [ "$m_nodes" -gt 4 ]; then
    tree_file=$build/run/nodes-$$.dtb
    mkdir -p "$build/run"
    tree_nodes "$tree_file" || return 1
    m_more="$m_more -dtb $tree_file" m_nodes=1
  fi
  [ "$m_nodes" -ne 1 ] || memory_option=,memory-backend=ram
  # The words of memory_words hold no blanks.
  # shellcheck disable=SC2046
  set -- $(memory_words) -nodefaults -no-reboot -display none -monitor none -serial stdio
  case $m_arch in
  x86_64)
    cpu=${m_cpu:-max,la57=off}
    # QEMU's default of 40 address bits ends at 1 TiB.
    [ "$memory_bytes" -lt 1000000000000 ] || cpu=$cpu,phys-bits=46
    set -- qemu-system-x86_64 -machine "q35$memory_option" -cpu "$cpu" -device isa-debug-exit,iobase=0xf4,iosize=4 "$@"
    ;;
  riscv64)
    # Three nodes and more crash QEMU 7.2 with its default interrupt controller.
    aia=
    [ "$m_nodes" -lt 3 ] || aia=,aia=aplic
    set -- qemu-system-riscv64 -machine "virt$memory_option$aia" -global virtio-mmio.force-legacy=false "$@"
    [ -z "$m_cpu" ] || set -- "$@" -cpu "$m_cpu"
    ;;
  esac
  case $m_path in
  pvh | opensbi)
    set -- "$@" -kernel "$m_kernel"
    [ -z "$m_archive" ] || set -- "$@" -initrd "$m_archive"
    [ -z "$m_words" ] || set -- "$@" -append "$m_words"
    ;;
  bios) set -- "$@" -cdrom "$m_image" ;;
  uefi)
    set -- "$@" -cdrom "$m_image" \
      -drive if=pflash,format=raw,unit=0,readonly=on,file=/usr/share/OVMF/OVMF_CODE.fd
    ;;
  uboot)
    set -- "$@" -kernel /usr/lib/u-boot/qemu-riscv64_smode/uboot.elf \
      -drive "if=none,id=disk,format=raw,readonly=on,file=$m_image" -device virtio-blk-device,drive=disk
    ;;
  esac
  if [ -n "$m_disk" ]; then
    device=virtio-blk-device,drive=data
    [ "$m_disk_by" = registers ] || device=virtio-blk-pci,drive=data,disable-legacy=on
    # A comma in a name is written twice. An error of the host is the machine's to see, not a reason to stop it.
    set -- "$@" -device "$device" \
      -drive "if=none,id=data,format=raw,readonly=$m_disk_only,werror=report,rerror=report,${m_disk_way:-file=$(printf '%s\n' "$m_disk" | sed 's/,/,,/g')}"
  fi
  # shellcheck disable=SC2086 # further words
  set -- "$@" $m_more
  # In the foreground, the console keeps the terminal.
  [ "$m_seconds" -eq 0 ] || set -- timeout --foreground -k 5 "$m_seconds" "$@"
  "$@"
  machine_status=$?
  m_nodes=$qemu_nodes
  [ -z "$tree_file" ] || rm -f "$tree_file"
  return "$machine_status"
}

# Run Bochs; its console is copied to standard output at the end. $1: a folder for its files. It always returns 1 when
# the machine is switched off, so that only the console tells the verdict. The remote display is the only one that needs
# no terminal; nobody connects to it.
machine_bochs() {
  rm -f "$1/serial.txt"
  cat >"$1/bochsrc" <<END
display_library: rfb, options="timeout=0"
config_interface: textconfig
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/vgabios/vgabios.bin
cpu: model=${m_cpu:-corei7_haswell_4770}, count=$m_cpus, ips=50000000, reset_on_triple_fault=0
memory: guest=$(($(size_bytes "$m_memory") / 1048576)), host=256
ata0-master: type=cdrom, path="$m_image", status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev="$1/serial.txt"
clock: sync=none
sound: driver=dummy, waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
log: $1/bochs.log
panic: action=fatal
error: action=report
info: action=ignore
END
  echo c >"$1/debugger"
  timeout -k 5 "$m_seconds" bochs -q -f "$1/bochsrc" -rc "$1/debugger" >"$1/bochs.out" 2>&1 </dev/null
  bochs_status=$?
  [ ! -f "$1/serial.txt" ] || cat "$1/serial.txt"
  return "$bochs_status"
}

# The kernel's exit code from an emulator's status; nothing if the kernel did not end through the exit device.
kernel_code() {
  case $m_arch in
  x86_64)
    # isa-debug-exit: status = value * 2 + 1, and the kernel writes 16 + code.
    [ "$1" -ge 33 ] && [ $(($1 % 2)) -eq 1 ] && echo $((($1 - 33) / 2))
    ;;
  riscv64) echo "$1" ;;
  esac
}
