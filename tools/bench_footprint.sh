# shellcheck shell=sh
# shellcheck disable=SC2154 # variables shared with the script that sources this; set -u finds a misspelt one
# ./quarry bench footprint: bytes of the kernel in the default and the minimal profile, and for each thing that it manages,
# beside what is published of others. Sourced by tools/bench.sh. (How long a boot takes is a row of the machine suite.)
#
# Others' figures and where they are from: bench/footprint.tsv. The table goes to standard output, the rows to
# build/bench/footprint-ARCH.json.

footprint_rows=$bench_dir/footprint-$arch

# Rows "NAME UNIT FIGURE" of one profile's image; its programs are not built.
footprint_profile() { # PROFILE
  kernel_dir=$(build_dir "$arch" "$compiler" "$1")
  need "build-$arch-$compiler"
  configure "$kernel_dir" cc --cross-file "$root/cross/$arch-$compiler.ini" -Dprofile="$1"
  must_step "building ${kernel_dir##*/}" "build-${kernel_dir##*/}.log" ninja -C "$kernel_dir" -j "$jobs" kernel/quarry.elf
  sections_of "$kernel_dir/kernel/quarry.elf" | while read -r code constants data; do
    echo "kernel_code_and_constants.$1 bytes $((code + constants))"
    echo "kernel_data.$1 bytes $data"
  done >>"$footprint_rows"
}

footprint_show() { # table|json
  awk -v form="$1" -v suite="footprint-$arch" '
    /^#/ || !NF { next }
    NR == FNR { tiny[$1] = $2; sel4[$1] = $3; xv6[$1] = $4; next }
    function text(value) { return value == "" ? "-" : value }
    function peer(name, value) { if (value != "" && value != "-") { others = others ", \"" name "\": " value } }
    FNR == 1 && form == "table" { printf "%-36s %10s %22s %8s %8s\n", "bytes", "Quarry", "Linux tinyconfig, ARM", "seL4", "xv6" }
    form == "table" { printf "%-36s %10s %22s %8s %8s\n", $1, $3, text(tiny[$1]), text(sel4[$1]), text(xv6[$1]) }
    form == "json" {
      others = ""
      peer("Linux tinyconfig (ARM)", tiny[$1]); peer("seL4", sel4[$1]); peer("xv6", xv6[$1])
      printf "%s\n  {\"suite\": \"%s\", \"name\": \"%s\", \"unit\": \"%s\", \"ours\": %s, ", first++ ? "," : "[", suite, $1, $2, $3
      printf "\"peers\": {%s}, \"aim\": null}", substr(others, 3)
    }
    END { if (form == "json") print "\n]" }' "$root/bench/footprint.tsv" "$footprint_rows"
}

need binutils hosted
mkdir -p "$bench_dir"
: >"$footprint_rows"
footprint_profile default
footprint_profile minimal
configure "$build/hosted" clang-14
must_step "building the tables' sizes" build-footprint.log ninja -C "$build/hosted" -j "$jobs" "footprint-$arch"
"$build/hosted/footprint-$arch" --rows | sed 's/ / bytes /' >>"$footprint_rows"
footprint_show table
footprint_show json >"$bench_dir/footprint-$arch.json"
say "build/bench/footprint-$arch.json has the rows; docs/footprint.md says what they mean"
