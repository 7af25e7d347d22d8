#!/bin/sh
# Put the output of a real run into a document, or check that the document still shows what a run prints.
#
#   tour.sh update LOG DOCUMENT     replace every block of output in DOCUMENT by what LOG has
#   tour.sh check LOG DOCUMENT      fail if a block says something else than LOG
#
# A block follows a line  <!-- run: FIRST .. LAST -->  and stands between lines of ```. It holds the lines of LOG from
# the first one that contains FIRST to the next one that contains LAST, both as plain text.
# With  <!-- run "TEST": FIRST .. LAST -->  they are those of another test's log, which lies beside LOG: of a boot, under its
# name in the matrix, or of a script ("script disks").
# A check does not compare numbers, sizes, and the widths of columns: those differ from machine to machine. Of a block
# with  <!-- run, any order: FIRST .. LAST -->  it compares which lines there are, not in which order and how often.
set -eu

usage() {
  sed -n '2,12s/^# \{0,1\}//p' "$0" >&2
  exit 2
}

[ $# -eq 3 ] || usage
mode=$1 log=$2 document=$3
case $mode in update | check) ;; *) usage ;; esac
for file in "$log" "$document"; do
  [ -r "$file" ] || { echo "tour.sh: cannot read $file" >&2; exit 2; }
done

made=$(mktemp)
trap 'rm -f "$made" "$made.shown" "$made.log"' EXIT INT TERM

awk -v log_file="$log" -v document="$document" -v mode="$mode" -v out="$made" '
  # The log of a test, or the one given.
  function load(test,    line, file) {
    file = log_file
    if (test != "") {
      gsub(/[ \/]/, "-", test)
      sub(/[^\/]*$/, test ".log", file)
    }
    if (file == loaded)
      return
    loaded = file
    lines = 0
    while ((getline line < file) > 0) {
      gsub(/\r/, "", line)
      log_line[++lines] = line
    }
    close(file)
    if (!lines)
      complain("the log " file " has no lines")
  }

  function complain(text) {
    print "tour.sh: " text > "/dev/stderr"
    failed = 1
  }

  # The lines of the log from FIRST to LAST into block[1..count].
  function find(first, last,    i) {
    count = 0
    for (i = 1; i <= lines && !index(log_line[i], first); i++)
      ;
    if (i > lines)
      complain("the log has no line with \"" first "\"")
    for (; i <= lines; i++) {
      block[++count] = log_line[i]
      if (index(log_line[i], last))
        return
    }
    if (count)
      complain("the log has no line with \"" last "\" after \"" first "\"")
  }

  function mask(text) {
    gsub(/0x[0-9a-fA-F]+/, "N", text)
    gsub(/[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]+/, "N", text)
    gsub(/[0-9][0-9.]* ([KMGT]iB|B|bytes)/, "SIZE", text)
    gsub(/[0-9][0-9.]*/, "N", text)
    gsub(/---+/, "--", text)
    gsub(/ +/, " ", text)
    sub(/^ /, "", text)
    return text
  }

  # Write block[1..count] as it is compared.
  function write_masked(file,    i, j, line, seen, sorted, n) {
    n = 0
    for (i = 1; i <= count; i++) {
      line = mask(block[i])
      if (!any_order) {
        print line > file
        continue
      }
      if (line in seen)
        continue
      seen[line] = 1
      for (j = ++n; j > 1 && sorted[j - 1] > line; j--)
        sorted[j] = sorted[j - 1]
      sorted[j] = line
    }
    for (i = 1; i <= n; i++)
      print sorted[i] > file
  }

  function begin_block(line) {
    any_order = line ~ /^<!-- run, any order/
    test = ""
    if (match(line, /^<!-- run(, any order)? "[^"]*"/)) {
      test = substr(line, 1, RLENGTH - 1)
      sub(/^[^"]*"/, "", test)
    }
    sub(/^<!-- run(, any order)?( "[^"]*")?: /, "", line)
    sub(/ -->$/, "", line)
    split(line, part, / \.\. /)
    state = 1
  }

  BEGIN {
    while ((getline line < document) > 0) {
      if (state == 2 && line != "```") {
        shown[++shown_count] = line
        continue
      }
      if (line ~ /^<!-- run(, any order)?( "[^"]*")?: .* \.\. .* -->$/) {
        begin_block(line)
      } else if (state == 1 && line == "```") {
        state = 2
        shown_count = 0
      } else if (state == 2) {
        load(test)
        find(part[1], part[2])
        for (i = 1; i <= count; i++)
          print block[i] > out
        write_masked(out ".log")
        count = shown_count
        for (i = 1; i <= count; i++)
          block[i] = shown[i]
        write_masked(out ".shown")
        blocks++
        state = 0
      }
      print line > out
    }
    if (!blocks)
      complain(document " has no block of output")
    exit failed
  }'

if [ "$mode" = update ]; then
  cat "$made" >"$document"
elif ! cmp -s "$made.shown" "$made.log"; then
  echo "$document no longer shows what a run prints (numbers are not compared):"
  diff "$made.shown" "$made.log" | head -40 || true
  echo "make it anew: tools/tour.sh update $log $document"
  exit 1
fi
