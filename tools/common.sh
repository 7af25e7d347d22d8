# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables shared with the script that sources this; set -u finds a misspelt one
# What every shell tool of the front door shares: messages, progress, the packages, the build.
#
# Sourced with $root set to the repository. Messages go to standard error: standard output belongs to the machine's
# console and to the tests' lines. Exit codes: 1 something failed, 2 wrong usage, 124 a time limit passed.

build=$root/build
logs=$build/log
jobs=$(nproc 2>/dev/null || echo 2)
ticker_pid=

say() {
  printf 'quarry: %s\n' "$*" >&2
}

die() {
  say "$@"
  exit 1
}

usage_error() {
  say "$@"
  exit 2
}

# Tell about a long step while it runs: nothing for two seconds, then its name, the time, the log's last line.
ticker() {
  ticker_seconds=0
  while sleep 1 >/dev/null 2>&1; do
    ticker_seconds=$((ticker_seconds + 1))
    [ "$ticker_seconds" -ge 2 ] || continue
    ticker_last=$(tail -n 1 "$2" 2>/dev/null | tr -d '\r' | cut -c 1-70)
    if [ -t 2 ]; then
      printf '\r\033[Kquarry: %s (%s s) %s' "$1" "$ticker_seconds" "$ticker_last" >&2
    elif [ "$ticker_seconds" -eq 2 ]; then
      printf 'quarry: %s\n' "$1" >&2
    elif [ $((ticker_seconds % 10)) -eq 0 ]; then
      printf 'quarry: %s (%s s) %s\n' "$1" "$ticker_seconds" "$ticker_last" >&2
    fi
  done
}

ticker_stop() {
  [ -n "$ticker_pid" ] || return 0
  kill "$ticker_pid" 2>/dev/null
  wait "$ticker_pid" 2>/dev/null
  ticker_pid=
  if [ -t 2 ]; then
    printf '\r\033[K' >&2
  fi
}

# step WHAT LOG COMMAND...: run the command with its output in build/log/LOG, showing progress. Returns its status.
step() {
  step_what=$1
  step_log=$logs/$2
  shift 2
  mkdir -p "$logs"
  : >"$step_log"
  ticker "$step_what" "$step_log" &
  ticker_pid=$!
  trap 'ticker_stop; exit 130' INT
  trap 'ticker_stop; exit 143' TERM
  "$@" >"$step_log" 2>&1 </dev/null
  step_status=$?
  ticker_stop
  trap - INT TERM
  return "$step_status"
}

# must_step: the same, and the end if the command fails.
must_step() {
  step "$@" && return 0
  tail -n 25 "$logs/$2" | cut -c 1-300 >&2
  die "$1 failed; the whole output is in build/log/$2"
}

# ---- packages ----

# Debian's packages for a purpose.
packages_for() {
  case $1 in
  build-*-clang) echo clang-14 lld-14 llvm-14 meson ninja-build cpio dpkg-dev ;;
  build-x86_64-gcc) echo gcc binutils meson ninja-build cpio dpkg-dev ;;
  build-riscv64-gcc) echo gcc-riscv64-linux-gnu binutils-riscv64-linux-gnu meson ninja-build cpio dpkg-dev ;;
  hosted) echo clang-14 gcc libc6-dev meson ninja-build dpkg-dev pkg-config spin valgrind dosfstools mtools ;;
  bench-phys) echo binutils valgrind ;;
  bench-report) echo gnuplot-nox python3 ;;
  linux) echo gcc libc6-dev linux-libc-dev cpio dpkg ;;
  bench-heap) echo binutils valgrind libjemalloc2 libmimalloc2.0 libtcmalloc-minimal4 ;;
  emulator-x86_64) echo qemu-system-x86 ;;
  emulator-riscv64) echo qemu-system-misc opensbi ;;
  nbd) echo qemu-utils ;;
  iso) echo grub-common grub-pc-bin grub-efi-amd64-bin xorriso mtools ;;
  ovmf) echo ovmf ;;
  uboot) echo u-boot-qemu mtools ;;
  device-tree) echo device-tree-compiler ;;
  view) echo python3-minimal ;;
  trace) echo python3 python3-barectf babeltrace2 gcc libc6-dev ;;
  browser) echo python3-minimal chromium ;;
  bochs) echo bochs bochs-term bochsbios vgabios ;;
  check) echo shellcheck clang-format-14 cppcheck ;;
  prove) echo clang-14 frama-c-base why3 z3 cvc4 python3 ;;
  esac
}

# Names of the given packages that are not installed.
packages_missing() {
  for package; do
    case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) in
    installed*) ;;
    *) echo "$package" ;;
    esac
  done | sort -u | tr '\n' ' '
}

# Run as root: with no words in front for root, else through sudo without a question, or with one on a terminal.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  else
    sudo -n "$@"
  fi
}

can_be_root() {
  [ "$(id -u)" -eq 0 ] && return 0
  command -v sudo >/dev/null 2>&1 || return 1
  sudo -n true 2>/dev/null && return 0
  [ -t 0 ] && [ -t 2 ] && sudo -v
}

apt_install() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -y -q -o DPkg::Lock::Timeout=300 \
    install --no-install-recommends "$@"
}

# need PURPOSE...: install what is missing for these purposes, and only that.
need() {
  need_list=$(for purpose; do packages_for "$purpose"; done)
  if ! command -v dpkg-query >/dev/null 2>&1; then
    say "this is no Debian system; going on in the hope that the tools of these packages are here:"
    printf '%s\n' "$need_list" >&2
    return 0
  fi
  # shellcheck disable=SC2086 # a list of names
  need_missing=$(packages_missing $need_list)
  [ -n "$need_missing" ] || return 0
  if ! can_be_root; then
    say "missing packages, and neither root nor sudo to install them; run this line, then this command again:"
    printf 'apt-get update && apt-get install --no-install-recommends %s\n' "$need_missing" >&2
    exit 1
  fi
  # shellcheck disable=SC2086
  set -- $need_missing
  say "installing Debian packages:" "$@"
  # A list of packages that is absent or old makes the first try fail at once.
  step "installing packages" install.log apt_install "$@" && return 0
  must_step "reading Debian's list of packages" update.log as_root apt-get -q update
  must_step "installing packages" install.log apt_install "$@"
}

# ---- build ----

# build_dir ARCH COMPILER PROFILE: the build folder; clang and the default profile have the short name.
build_dir() {
  build_name=$1
  [ "$2" = clang ] || build_name=$build_name-$2
  [ "$3" = default ] || build_name=$build_name-$3
  echo "$build/$build_name"
}

# configure FOLDER COMPILER MESON-ARGUMENT...: once; a set-up that failed half-way is made anew. COMPILER is the native
# one; a cross build takes its own from the cross file.
configure() {
  configure_dir=$1
  configure_name=${1##*/}
  configure_cc=$2
  shift 2
  [ -f "$configure_dir/build.ninja" ] && return 0
  rm -rf "$configure_dir"
  must_step "configuring $configure_name" "configure-$configure_name.log" \
    env CC="$configure_cc" meson setup "$configure_dir" "$root" "$@"
}

compile() {
  must_step "building ${1##*/}" "build-${1##*/}.log" ninja -C "$1" -j "$jobs"
}

# build_kernel ARCH COMPILER PROFILE: kernel, programs and boot archive.
build_kernel() {
  kernel_dir=$(build_dir "$1" "$2" "$3")
  need "build-$1-$2"
  # Meson reads a cross file once, so a changed one needs a new folder.
  cross_file=$root/cross/$1-$2.ini
  cmp -s "$cross_file" "$kernel_dir/cross.ini" || rm -rf "$kernel_dir"
  configure "$kernel_dir" cc --cross-file "$cross_file" -Dprofile="$3"
  cp "$cross_file" "$kernel_dir/cross.ini"
  compile "$kernel_dir"
}

# Bytes of code, constants and data (zeroed included) of an ELF file, in one line.
sections_of() {
  size -A "$1" | awk '
    $1 == ".text" || $1 == ".boot" { code += $2 }
    $1 == ".rodata" { constants += $2 }
    $1 == ".data" || $1 == ".bss" || $1 ~ /^\.boot\.(data|bss)$/ { data += $2 }
    END { print code, constants, data }'
}

# The library, the parsers and their tests as Linux programs: clang's build, gcc's and clang's with sanitizers.
build_hosted() {
  need hosted
  case $1 in
  plain)
    configure "$build/hosted" clang-14
    compile "$build/hosted"
    ;;
  asan)
    configure "$build/hosted-asan" gcc -Db_sanitize=address,undefined -Db_lundef=false
    compile "$build/hosted-asan"
    ;;
  tsan)
    configure "$build/hosted-tsan" clang-14 -Db_sanitize=thread -Db_lundef=false
    compile "$build/hosted-tsan"
    ;;
  esac
}
