#!/bin/sh
# ./quarry view: pictures, tables and comparison from one set of records.
#
# Of the machines that the matrix booted with the word `view` (booted here if they were not) every snapshot's sums hold, and
# console, JSON and page say the same; the page is clicked through in a browser (tests/view/pictures.py, screenshots stay in
# build/test/view). Comparing two snapshots finds what a program took, and by which call. A page that is live gets new
# snapshots. Input that is damaged is refused with a sentence. It would miss a picture that looks wrong and counts right.

set -u
root=$(cd "$(dirname "$0")/../.." && pwd -P)
# shellcheck source=tools/common.sh
. "$root/tools/common.sh"
output=$build/test/view
failed=0
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null' EXIT
mkdir -p "$output"

fail() {
  echo "FAIL: $*"
  failed=1
}

view() {
  "$root/quarry" view "$@" </dev/null
}

# ---- both machines ----

console_of() { # ARCH
  for console in "$logs/$1"-*words:view*.log; do
    [ -s "$console" ] && grep -q '^quarry: exit 0' "$console" && cp "$console" "$output/$1.console" && return
  done
  nodes=1
  [ "$1" = riscv64 ] || nodes=2
  view --arch "$1" --smp 2 --numa "$nodes" --mem 256M --output "$output/$1.html" && cp "$logs/view.log" "$output/$1.console"
}

for arch in x86_64 riscv64; do
  console_of "$arch" || fail "$arch: no console with snapshots"
  PYTHONDONTWRITEBYTECODE=1 python3 "$root/tests/view/numbers.py" "$output/$arch.console" || fail "$arch: numbers"
done

# ---- in a browser ----

need browser
timeout 120 env PYTHONDONTWRITEBYTECODE=1 python3 "$root/tests/view/pictures.py" "$output/x86_64.console" "$output" >"$output/pictures.tap" 2>&1 ||
  fail "the page in a browser: $(grep -m 3 -e '^not ok' -e Error "$output/pictures.tap")"
cat "$output/pictures.tap"

# ---- the command ----

view "$output/x86_64.console" --output "$output/again.html" || fail "a page of a kept console"
view --json "$output/x86_64.console" >"$output/all.json" || fail "JSON of a kept console"
view "$output/all.json" --output "$output/again2.html" || fail "a page of JSON"
cmp -s "$output/again.html" "$output/again2.html" || fail "the pages of a console and of its JSON differ"
# The first snapshot in which a program of that name runs.
number=$(tr -d '\r\036' <"$output/x86_64.console" |
  sed -n -e 's/^{"snapshot":\([0-9]*\),.*/\1/p' -e 's/^\[.*,"memtest"\]$/memtest/p' | grep -m 1 -B 1 memtest | head -n 1)
view --compare "$output/x86_64.console#1" "$output/x86_64.console#${number:-0}" >"$output/compared" || fail "--compare: exit code $?"
grep -Eq '^ +\+[0-9.]+ [KM]iB +[0-9]+ +memtest \(new\) +user$' "$output/compared" || fail "--compare does not find what memtest took"
grep -Eq '^ +\+[0-9.]+ [KM]iB +\+[0-9]+ +[0-9]+ +[0-9]+ +untyped_retype +object\.c:[0-9]+ +[a-z ]+ +[0-9.]+ s before$' "$output/compared" ||
  fail "--compare does not say by which call, where, and since when"

# refuse EXPRESSION ARGUMENT...: exit code 2 and one sentence.
refuse() {
  expression=$1
  shift
  view "$@" >"$output/out" 2>"$output/err"
  status=$?
  { [ "$status" -eq 2 ] && grep -Eq -- "$expression" "$output/err"; } || fail "view $*: exit code $status, $(cat "$output/err")"
}
refuse 'No such file' "$output/none"
refuse 'no complete snapshot' "$root/README.md"
refuse 'there is no snapshot 99' --compare "$output/x86_64.console#99" "$output/x86_64.console#1"
refuse 'takes two snapshots' --compare "$output/x86_64.console"
refuse 'takes files, or options' "$output/x86_64.console" --smp 2
refuse 'one of --compare, --json, --live' --json --live
refuse '--port takes a number from 0 to 65535' --live --port 70000
refuse 'view has no option --fast' --fast
last=$(LC_ALL=C grep -abo "$(printf '\036')" "$output/x86_64.console" | tail -1)
head -c "${last%%:*}" "$output/x86_64.console" >"$output/cut.console"
view --json "$output/cut.console" >"$output/out" 2>"$output/err" || fail "a console that ends in a snapshot"
grep -q 'ends before the snapshot does' "$output/err" || fail "that a snapshot was left out is not said"

# ---- live: the console grows, the page's server tells what is new ----

PYTHONDONTWRITEBYTECODE=1 python3 "$root/tests/view/live.py" "$output/x86_64.console" "$output/grows.console" || fail "live"

[ "$failed" -eq 0 ] && echo "all as expected"
exit "$failed"
