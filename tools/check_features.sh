#!/bin/sh
# Check docs/features.md against the tests of the latest ./quarry test:
#
#   check_features.sh LOGS TESTLOG...
#
# LOGS is the folder with the consoles of boots, TESTLOG what meson wrote about hosted tests. A row that works names a
# test on each architecture, or hosted ones beside them; one that is begun names a test; one that is not there names
# none. A script is "script NAME": it boots both architectures, or says in the row that it does not. Every test named exists and ran. Prints a line for each breach; exit code 1 if there is one.
set -eu

[ $# -ge 2 ] || { echo "usage: $0 LOGS TESTLOG..." >&2; exit 2; }
root=$(cd "$(dirname "$0")/.." && pwd -P)
features=${FEATURES:-$root/docs/features.md}
logs=$1
shift

made=$(mktemp)
trap 'rm -f "$made" "$made.rows" "$made.breaches"' EXIT INT TERM

# "program" and "program: subtest" of every hosted test that passed.
awk '/^test: / { name = $NF; print name }
     /^ok [0-9]+ - / { sub(/^ok [0-9]+ - /, ""); print name ": " $0 }' "$@" >"$made"

# "row status test" for every test that a row names, with tabs between.
awk -F ' [|] ' '
  /^[|] row/ { next }
  /^[|] [A-Z][0-9A-Za-z]* [|]/ {
    row = substr($1, 3)
    rest = $4
    print row "\t" $3 "\t"
    while (match(rest, /`[^`]*`/)) {
      test = substr(rest, RSTART + 1, RLENGTH - 2)
      rest = substr(rest, RSTART + RLENGTH)
      if (test !~ /^\.\//)
        print row "\t" $3 "\t" test
    }
  }' "$features" >"$made.rows"

# The log of a boot, as tests/boot names it, newer than the file SINCE if that is given.
boot_ran() {
  boot_log=$logs/$(printf '%s' "$1" | tr ' /' '--').log
  [ -f "$boot_log" ] && [ -n "$(find "$boot_log" ${SINCE:+-newer "$SINCE"})" ]
}

breaches() {
  while IFS="$(printf '\t')" read -r row status test; do
    case $status in
    works | begun | 'not yet') ;;
    *) echo "$row: the status is '$status'" ;;
    esac
    case $test in
    '') ;;
    'x86_64 '* | 'riscv64 '*) boot_ran "$test" || echo "$row: the boot '$test' did not run" ;;
    'script '*)
      boot_ran "$test" && grep -q '^all as expected$' "$logs/$(printf '%s' "$test" | tr ' /' '--').log" ||
        echo "$row: '$test' did not run, or failed"
      ;;
    *) grep -qxF -- "$test" "$made" || echo "$row: the hosted test '$test' did not run" ;;
    esac
  done <"$made.rows"
  awk -F '\t' '
    $3 == "" { status[$1] = $2; next }
    $3 ~ /^x86_64 / { x86[$1] = 1; next }
    $3 ~ /^riscv64 / { riscv[$1] = 1; next }
    { hosted[$1] = 1 }
    END {
      for (row in status) {
        any = (row in x86) || (row in riscv) || (row in hosted)
        if (status[row] == "works" && !((row in x86) && (row in riscv)))
          print row ": it works, and no test on both architectures says so"
        if (status[row] == "begun" && !any)
          print row ": it is begun, and no test says so"
        if (status[row] == "not yet" && any)
          print row ": it is not there yet, and names a test"
        rows++
      }
      if (!rows)
        print "there is no row"
    }' "$made.rows"
}

breaches >"$made.breaches"
sort -u "$made.breaches"
[ ! -s "$made.breaches" ]
