# shellcheck shell=sh
# shellcheck disable=SC2154 # variables shared with the script that sources this; set -u finds a misspelt one
# The build options. Sourced after common.sh.

# The other value of each option but `profile`, which only names sets of them.
other_values() {
  sed -n "s/^option('\([a-z0-9_]*\)', type: '\([a-z]*\)'.*/\1 \2/p" "$root/meson_options.txt" | while read -r option type; do
    case $option in
    fuzz | profile) ;;
    max_order) echo "$option=15" ;;
    max_cpus) echo "$option=4" ;;
    max_nodes) echo "$option=1" ;;
    map_ranges) echo "$option=160" ;;
    debug_checks) echo "$option=enabled" ;;
    *) [ "$type" = feature ] && echo "$option=disabled" || echo "$option=unknown" ;; # Meson refuses that
    esac
  done
}
