#!/bin/sh
# Put the output of a real run into a document, or check that the document still shows what a run prints.
#
#   tour.sh update LOG DOCUMENT     replace every block of output in DOCUMENT by what LOG has
#   tour.sh check LOG DOCUMENT      fail if a block says something else than LOG
#
# A block follows a line  <!-- run: FIRST .. LAST -->  and stands between lines of ```. It holds the lines of LOG from
# the first one that contains FIRST to the next one that contains LAST, both as plain text.
# A check does not compare numbers, sizes, and the widths of columns: those differ from machine to machine.
set -eu

usage() {
    sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

[ $# -eq 3 ] || usage
mode=$1 log=$2 document=$3
[ -r "$log" ] || { echo "tour.sh: cannot read $log" >&2; exit 2; }
[ -r "$document" ] || { echo "tour.sh: cannot read $document" >&2; exit 2; }

made=$(mktemp)
trap 'rm -f "$made" "$made.old" "$made.new"' EXIT INT TERM

tr -d '\r' < "$log" | awk -v document="$document" '
    { log_line[++lines] = $0 }
    function show(first, last,    i) {
        for (i = 1; i <= lines && !index(log_line[i], first); i++)
            ;
        if (i > lines) {
            print "tour.sh: the log has no line with \"" first "\"" > "/dev/stderr"
            failed = 1
            return
        }
        for (; i <= lines; i++) {
            print log_line[i]
            if (index(log_line[i], last))
                return
        }
        print "tour.sh: the log has no line with \"" last "\" after \"" first "\"" > "/dev/stderr"
        failed = 1
    }
    END {
        while ((getline line < document) > 0) {
            if (line ~ /^<!-- run: .* \.\. .* -->$/) {
                split(substr(line, 11, length(line) - 14), part, / \.\. /)
                print line
                state = 1
            } else if (state == 1 && line == "```") {
                print line
                show(part[1], part[2])
                state = 2
            } else if (state == 2) {
                if (line == "```") {
                    print line
                    state = 0
                }
            } else {
                print line
            }
        }
        exit failed
    }' > "$made"

case $mode in
update)
    cat "$made" > "$document"
    ;;
check)
    for file in "$document" "$made"; do
        sed -e 's/0x[0-9a-fA-F][0-9a-fA-F]*/N/g' -e 's/[0-9][0-9.]* [KMGT]iB/SIZE/g' \
            -e 's/[0-9][0-9.]* bytes/SIZE/g' -e 's/[0-9][0-9.]*/N/g' -e 's/---*/--/g' -e 's/  */ /g' -e 's/^ //' \
            "$file" > "$made.new"
        [ "$file" = "$document" ] && mv "$made.new" "$made.old"
    done
    if ! diff -u "$made.old" "$made.new" | sed -e 1d -e 2d > "$made.diff"; then :; fi
    if [ -s "$made.diff" ]; then
        echo "$document no longer shows what a run prints (numbers are not compared):"
        cat "$made.diff"
        rm -f "$made.diff"
        echo "make it anew: tools/tour.sh update $log $document"
        exit 1
    fi
    rm -f "$made.diff"
    ;;
*)
    usage
    ;;
esac
