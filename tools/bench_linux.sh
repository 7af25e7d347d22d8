# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables shared with the script that sources this; set -u finds a misspelt one
# The other side of the machine suite: Debian's Linux 6.1 in the same emulator, with bench/linux as its only program.
# Sourced by tools/bench_machine.sh.
#
# The kernel comes out of Debian's package for virtual machines (linux-image-cloud-amd64), which is fetched by apt and
# unpacked into build/linux, not installed; apt checks its signature. The program is built from bench/linux, static. Nothing
# of it is stored in the repository. Debian 12 has no kernel package for riscv64 at all, so that this is x86-64 only.
#
#   lean      mitigations=off init_on_alloc=0: the least that this kernel can be made to do
#   shipped   as Debian ships it

linux_dir=$build/linux
linux_package=linux-image-cloud-amd64

# The name of the package with the kernel itself, on which the other one depends.
linux_name() {
  apt-cache depends "$linux_package" 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-[0-9][^ ]*\)$/\1/p' | head -n 1
}

# The kernel of build/linux, fetched once.
linux_fetch() {
  rm -rf "$linux_dir/fetch"
  mkdir -p "$linux_dir/fetch"
  linux_found=$(linux_name)
  [ -n "$linux_found" ] || as_root apt-get -q update
  : "${linux_found:=$(linux_name)}"
  [ -n "$linux_found" ] || {
    echo "Debian's lists have no $linux_package"
    return 1
  }
  # A list that is old names a package that is not there any more.
  (cd "$linux_dir/fetch" && { apt-get -q -o APT::Sandbox::User= download "$linux_found" ||
    { as_root apt-get -q update && apt-get -q -o APT::Sandbox::User= download "$(linux_name)"; }; }) || return 1
  dpkg-deb --fsys-tarfile "$linux_dir"/fetch/*.deb | tar -x -C "$linux_dir/fetch" --wildcards './boot/vmlinuz-*' || return 1
  mv "$linux_dir"/fetch/boot/vmlinuz-* "$linux_dir/vmlinuz" && rm -rf "$linux_dir/fetch"
}

# The program, and an archive that holds it as /init.
linux_build() {
  rm -rf "$linux_dir/root"
  mkdir -p "$linux_dir/root/sys" &&
    gcc -std=gnu17 -O2 -static -Wall -Wextra -Werror -o "$linux_dir/root/init" "$root"/bench/linux/*.c &&
    (cd "$linux_dir/root" && printf '%s\n' . ./init ./sys | cpio -o -H newc --quiet --reproducible) >"$linux_dir/init.cpio"
}

# linux_run WORDS CONSOLE: boot with these words on the command line.
linux_run() {
  bench_machine x86_64 "console=ttyS0 quiet panic=-1 $1" "$linux_dir/vmlinuz" "$linux_dir/init.cpio" "$2"
}

linux_words() {
  case $1 in
  lean) echo mitigations=off init_on_alloc=0 ;;
  shipped) echo ;;
  esac
}

# Rows of both kinds in build/bench/linux-KIND-1, each counted twice. 1, with a sentence: there is no Linux to be had.
linux_count() {
  need linux
  if [ ! -f "$linux_dir/vmlinuz" ]; then
    step "fetching Debian's Linux" linux-fetch.log linux_fetch || {
      say "no Linux to compare with: $(tail -n 1 "$logs/linux-fetch.log"); the whole output is in build/log/linux-fetch.log"
      return 1
    }
  fi
  must_step "building the program for Linux" linux-build.log linux_build
  for linux_kind in lean shipped; do
    bench_twice "Linux, $linux_kind" "linux-$linux_kind" linux_run "$(linux_words "$linux_kind")"
  done
}
