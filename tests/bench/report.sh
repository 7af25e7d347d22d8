#!/bin/sh
# tools/bench_report.py, as TAP: report.sh. Rows that are not well-formed are refused, a change is told and noise is not, and only
# the marked parts of a document change. It would miss what charts look like.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd -P)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
number=0

report() {
  /usr/bin/python3 "$root/tools/bench_report.py" "$@" 2>"$work/err"
}

result() { # STATUS NAME
  number=$((number + 1))
  if [ "$1" = 0 ]; then echo "ok $number - $2"; else echo "not ok $number - $2"; fi
}

rows() { # the file's text
  rm -rf "$work/rows"
  mkdir "$work/rows"
  printf '%s\n' "$1" >"$work/rows/x.json"
}

good='{"suite": "x", "name": "a", "unit": "instructions", "ours": 110, "peers": {"p": 1, "q": null}, "aim": null}'

refused() {
  rows "[$good]"
  report check "$work/rows" all >"$work/out" && [ "$(cat "$work/out")" = "1 rows in 1 files" ] || return 1
  for text in '' '{}' '[]' "[$good, $good]" "[$good," '[1]' \
    '[{"suite": "x", "name": "a", "unit": "ns", "peers": {}, "aim": null}]' \
    '[{"suite": "x", "name": "a", "unit": "ns", "ours": -1, "peers": {}, "aim": null}]' \
    '[{"suite": "x", "name": "a", "unit": "ns", "ours": 1, "peers": [], "aim": null}]' \
    '[{"suite": "x", "name": "a", "unit": "ns", "ours": 1, "peers": {"p": "2"}, "aim": null}]' \
    '[{"suite": "x", "name": "a", "unit": "ns", "ours": 1, "peers": {}}]' \
    '[{"suite": "x", "name": "", "unit": "ns", "ours": 1, "peers": {}, "aim": null}]'; do
    rows "$text"
    if report check "$work/rows" all; then
      echo "# taken: $text"
      return 1
    fi
    [ -s "$work/err" ] || return 1
  done
}

# said EXPECTED: what the comparison of work/rows with work/baseline says.
said() {
  report compare "$work/rows" all "$work/baseline" >"$work/out"
  [ "$(cat "$work/out")" = "$1" ] && return 0
  sed 's/^/# /' "$work/out"
  return 1
}

compared() {
  echo '{"hardware": "", "rows": [{"suite": "x", "name": "a", "unit": "instructions", "ours": 100},
    {"suite": "x", "name": "b", "unit": "instructions", "ours": 1000}, {"suite": "x", "name": "c", "unit": "instructions", "ours": 200}]}' >"$work/baseline"
  rows "[$good,
    {\"suite\": \"x\", \"name\": \"b\", \"unit\": \"instructions\", \"ours\": 1009, \"peers\": {}, \"aim\": null},
    {\"suite\": \"x\", \"name\": \"c\", \"unit\": \"instructions\", \"ours\": 100, \"peers\": {}, \"aim\": null}]"
  said "better x c: 200 -> 100 instructions (-50.0 %)
worse  x a: 100 -> 110 instructions (+10.0 %)
3 rows compared with the baseline, 2 changed beyond noise"
}

# A row of time: ours, lowest, highest.
time_row() {
  printf '[{"suite": "x", "name": "t", "unit": "ns", "ours": %s, "lowest": %s, "highest": %s, "peers": {}, "aim": null}]' "$1" "$2" "$3"
}

ranges() {
  rows "$(time_row 10 8 12)"
  report keep "$work/rows" all "$work/baseline" || return 1
  rows "$(time_row 14 12 19)"
  said "1 rows compared with the baseline, 0 changed beyond noise" || return 1
  rows "$(time_row 15 13 19)"
  said "worse  x t: 10 -> 15 ns (+50.0 %)
1 rows compared with the baseline, 1 changed beyond noise" || return 1
  sed 's/"hardware": "/&another/' "$work/baseline" >"$work/other" && mv "$work/other" "$work/baseline"
  said "0 rows compared with the baseline, 0 changed beyond noise
1 times are not compared: the baseline is of another host"
}

document() {
  rows '[{"suite": "heap", "name": "a", "unit": "ns", "ours": 3, "lowest": 2, "highest": 4, "peers": {"p": 1}, "aim": 2}]'
  mv "$work/rows/x.json" "$work/rows/heap.json"
  printf 'before\n<!-- begin heap -->\nold\n<!-- end -->\nbetween\n<!-- begin peers-win -->\n<!-- end -->\nafter\n' >"$work/doc.md"
  mkdir -p "$work/bin" && printf '#!/bin/sh\nexec cat >/dev/null\n' >"$work/bin/gnuplot" && chmod +x "$work/bin/gnuplot"
  (PATH=$work/bin:$PATH && report document "$work/rows" all "$work/doc.md") || return 1
  [ "$(cat "$work/doc.md")" = 'before
<!-- begin heap -->
|  | unit | ours | lowest - highest | p | aim |
|---|---|---|---|---|---|
| a | ns | 3 | 2 - 4 | 1 | 2 |
<!-- end -->
between
<!-- begin peers-win -->
| suite | row | unit | ours | who has less | missed |
|---|---|---|---|---|---|
| heap | a | ns | 3 | p 1 | aim 2 |
<!-- end -->
after' ] || {
    sed 's/^/# /' "$work/doc.md"
    return 1
  }
  echo '<!-- begin nothing -->
<!-- end -->' >"$work/doc.md"
  ! report document "$work/rows" all "$work/doc.md"
}

echo 1..4
refused
result $? "rows that are not well-formed are refused"
compared
result $? "a count that changed is told, within one per cent it is not"
ranges
result $? "times whose ranges meet have not changed, another host's are not compared"
document
result $? "the marked parts of a document are made anew"
