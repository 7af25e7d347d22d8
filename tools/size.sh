# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables shared with the script that sources this; set -u finds a misspelt one
# ./quarry size: bytes of code, constants and data of each part of the kernel. Sourced by quarry, after the build.

need binutils
objects=$kernel_dir/kernel/quarry.elf.p
say "$arch, $compiler; the bytes of the object files, before linking"
find "$objects" -name '*.o' -exec size {} + | awk '
  $1 ~ /^[0-9]+$/ {
    # .._mem_phys_arena.c.o is ../mem/phys/arena.c; without dots in front, the kernel itself
    name = $6
    sub(/.*\//, "", name)
    part = name ~ /^\.\._/ ? substr(name, 4) : "kernel_" name
    n = split(part, word, "_")
    part = word[1] == "mem" || word[1] == "kernel" ? word[1] "/" word[2] : word[1]
    sub(/\.[cS]\.o$/, "", part)
    text[part] += $1; data[part] += $2; bss[part] += $3
    all_text += $1; all_data += $2; all_bss += $3
  }
  END {
    printf "%-20s %9s %9s %9s\n", "part", "code", "data", "zeroed"
    for (part in text) printf "%-20s %9d %9d %9d\n", part, text[part], data[part], bss[part] | "sort"
    close("sort")
    printf "%-20s %9d %9d %9d\n", "all together", all_text, all_data, all_bss
  }'
