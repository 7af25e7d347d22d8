#!/bin/sh
# Options of meson_options.txt at their other value: the hosted build and its tests, and kernels that boot.
#
#     configurations.sh        every option at once: the minimal profile, with the checks that no profile has
#     configurations.sh all    each option by itself, too, hosted and booted on both architectures
#
# The default values are what every other test runs with. It would miss what only two options together break.

set -u
root=$(cd "$(dirname "$0")/../.." && pwd -P)
# shellcheck source=tools/common.sh
. "$root/tools/common.sh"
# shellcheck source=tools/machine.sh
. "$root/tools/machine.sh"
# shellcheck source=tools/options.sh
. "$root/tools/options.sh"
failed=0

fail() {
  echo "FAIL: $*"
  failed=1
}

# Tests of where the options are read; one that the options leave out is none.
tests='acpi|arena|arena_poison|embed-freestanding|fdt|frame_cache|framedb|guard|kernel-(caps|threads)|lab-command|map|'
tests=$tests'mem_failures|nodes|roots|slab'

# hosted NAME OPTION...: build everything, and run these tests.
hosted() {
  folder=$build/options/hosted-$1
  hosted_log=options-${folder##*/}.log
  shift
  configure "$folder" clang-14 "$@"
  compile "$folder"
  names=$(meson test -C "$folder" --no-rebuild --list 2>/dev/null | sed 's/.* //' | grep -Ex "$tests")
  # shellcheck disable=SC2086 # a list of words
  step "testing with $*" "$hosted_log" meson test -C "$folder" --no-rebuild --num-processes "$jobs" $names ||
    fail "$*: $(grep -E ' (FAIL|ERROR|TIMEOUT) ' "$logs/$hosted_log" | head -n 1)"
}

# boot NAME ARCH OPTION...: build the kernel and boot it.
boot() {
  folder=$build/options/$2-$1
  machine_defaults
  m_arch=$2 m_path=pvh m_cpus=2 m_memory=256M m_seconds=120
  [ "$2" = x86_64 ] || m_path=opensbi
  shift 2
  configure "$folder" cc --cross-file "$root/cross/$m_arch-clang.ini" "$@"
  compile "$folder"
  m_kernel=$folder/kernel/quarry.elf m_archive=$folder/user/boot.cpio m_words=selftest
  machine_qemu </dev/null >"$logs/options-${folder##*/}.log" 2>&1
  [ "$(kernel_code $?)" = 0 ] || fail "$m_arch with $*: $(tail -n 1 "$logs/options-${folder##*/}.log")"
}

mkdir -p "$logs"
mkdir -p "$logs"
if [ "${1:-}" = all ]; then
  for option in $(other_values); do
    hosted "$option" "-D$option"
    for arch in x86_64 riscv64; do boot "$option" "$arch" "-D$option"; done
  done
fi
hosted other -Dprofile=minimal -Ddebug_checks=enabled
[ "$failed" -eq 0 ] && echo "all as expected"
exit "$failed"
