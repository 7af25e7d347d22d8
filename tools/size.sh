# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables shared with the script that sources this; set -u finds a misspelt one
# ./quarry size: bytes of the kernel, by part for the default profile and by profile, and of its tables; with --options,
# what each option is worth. Sourced by quarry. docs/footprint.md keeps what it prints.

# objects_build FOLDER OPTION...: the kernel without optimisation across files, which leaves no sizes in object files.
objects_build() {
  objects_dir=$1
  shift
  configure "$objects_dir" cc --cross-file "$root/cross/$arch-$compiler.ini" -Db_lto=false "$@"
  must_step "building ${objects_dir##*/}" "build-${objects_dir##*/}.log" \
    ninja -C "$objects_dir" -j "$jobs" kernel/quarry.elf
}

# Bytes of the object files by part of the tree.
parts_of() {
  find "$1/kernel/quarry.linked.elf.p" -name '*.o' -exec size {} + | awk '
    $1 ~ /^[0-9]+$/ {
      # .._mem_phys_arena.c.o is ../mem/phys/arena.c; without dots in front, the kernel itself
      name = $6
      sub(/.*\//, "", name)
      part = name ~ /^\.\._/ ? substr(name, 4) : "kernel_" name
      split(part, word, "_")
      part = word[1] == "mem" || word[1] == "kernel" ? word[1] "/" word[2] : word[1]
      sub(/\.[cS]\.o$/, "", part)
      text[part] += $1; data[part] += $2 + $3
    }
    END {
      for (part in text) printf "%-20s %9d %9d\n", part, text[part], data[part] | "sort"
    }'
}

# Bytes of code and constants, and of data, of all object files.
objects_of() {
  parts_of "$1" | awk '{ code += $2; data += $3 } END { print code, data }'
}

# One build for each option at its other value: what it adds to the default kernel, or takes away from it.
options_worth() { # CODE DATA of the default
  # shellcheck source=tools/options.sh
  . "$root/tools/options.sh"
  printf '\n%-30s %9s %9s\n' "other value of one option" code data
  for option in $(other_values); do
    objects_build "$build/size/$arch-$option" "-D$option"
    objects_of "$objects_dir" | awk -v option="$option" -v code="$1" -v data="$2" '
      { printf "  %-28s %+9d %+9d\n", option, $1 - code, $2 - data }'
  done
}

need binutils
printf '%-20s %9s %9s %9s\n' "$arch kernel" code constants data
for size_profile in default minimal; do
  build_kernel "$arch" "$compiler" "$size_profile"
  # shellcheck disable=SC2046,SC2183 # three numbers
  printf '%-20s %9d %9d %9d\n' "  $size_profile" $(sections_of "$kernel_dir/kernel/quarry.elf")
done
objects_build "$build/size/$arch-default"
printf '\n%-20s %9s %9s\n' "each file by itself" "code" "data"
parts_of "$objects_dir" | sed 's/^/  /'
echo
need hosted
configure "$build/hosted" clang-14
must_step "building the tables' sizes" build-footprint.log ninja -C "$build/hosted" -j "$jobs" "footprint-$arch"
"$build/hosted/footprint-$arch"
if [ "$size_options" = yes ]; then
  # shellcheck disable=SC2046 # two numbers
  options_worth $(objects_of "$build/size/$arch-default")
fi
