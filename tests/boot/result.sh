# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables shared with the script that sources this; set -u finds a misspelt one
# Names, lines and counts of tests; sourced after common.sh.

results=${QUARRY_RESULTS:-$build/test/results}

now() { # milliseconds
  echo $(($(date +%s%N) / 1000000))
}

# "x86_64 pvh smp4 2G numa:2" of a line of the matrix.
test_name() {
  # shellcheck disable=SC2086 # the columns of the line
  set -- $1
  test_variant=
  [ "$5" = - ] || test_variant=" $5"
  echo "$1 $2 smp$3 $4$test_variant" | sed 's/+long//; s/ long//; s/+/ /g'
}

file_name() {
  echo "$1" | tr ' /' '--'
}

seconds_of() { # MILLISECONDS
  echo "$(($1 / 1000)).$(($1 % 1000 / 100))"
}

# result KIND NAME MILLISECONDS [REASON [LOG]]: KIND is ok, FAIL, HANG, skip.
result() {
  case $1 in
  ok) printf 'ok    %s (%s s)\n' "$2" "$(seconds_of "$3")" ;;
  skip) printf 'skip  %s: %s\n' "$2" "$4" ;;
  *) printf '%s  %s (%s s): %s%s\n' "$1" "$2" "$(seconds_of "$3")" "$4" "${5:+; log: ${5#"$root/"}}" ;;
  esac
  count "$1" 1
}

# count KIND NUMBER: add to the closing line.
count() {
  echo "$1 $2" >>"$results"
}

# The sum of the given kinds.
counted() {
  awk -v kinds=" $* " 'index(kinds, " " $1 " ") { sum += $2 } END { print sum + 0 }' "$results"
}
