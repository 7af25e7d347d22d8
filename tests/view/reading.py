"""Reading snapshots: what is whole is read, whatever stands around it; what is damaged is told and left out; sums that do
not hold are named; two snapshots are compared. TAP. It would miss what a machine writes otherwise than this test does."""
import json
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../../tools/view")]

import compare
import large
import snapshots

RS = "\x1e"
count = failed = 0


def check(ok, what, *about):
    global count, failed
    count += 1
    failed += not ok
    print(f"{'ok' if ok else 'not ok'} {count} - {what}")
    if not ok:
        print("#", *about)


def lines_of(document):
    """A document as a machine writes it."""
    lines = [{"names": of, "number": n, "name": name} for of, names in document["names"].items() for n, name in names.items()]
    for shot in document["snapshots"]:
        head = {key: value for key, value in shot.items() if key != "tables"}
        rows = sum(len(table["rows"]) for table in shot["tables"].values())
        lines.insert(0, head) if shot is document["snapshots"][0] else lines.append(head)
        for name, table in shot["tables"].items():
            lines += [{"record": name, "fields": table["fields"]}] + table["rows"]
        lines.append({"end": shot["snapshot"], "rows": rows})
    return [RS + json.dumps(line) for line in lines]


def read(lines):
    with tempfile.NamedTemporaryFile("w", suffix=".log") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        return snapshots.read(file.name)


def refused(lines, words):
    try:
        read(lines)
    except snapshots.Problem as problem:
        return words in str(problem)
    return False


def check_reading(document, lines):
    found, notes = read(lines)
    check(found == document and not notes, "a console is read back as it was written")
    noisy = []
    for i, line in enumerate(lines):
        noisy += ["something that a program says", "[1,2,3]"] if i % 3 == 0 else []
        noisy.append("words before it " + line + "\r" if i % 5 == 0 else line)
    found, notes = read(noisy)
    check(found == document and not notes, "other lines, words in front and carriage returns do not matter")
    last = max(i for i, line in enumerate(lines) if '"snapshot"' in line)
    for name, damaged in (("a row is missing", lines[:last + 9] + lines[last + 10:]),
                          ("a row is cut off", lines[:last + 9] + [lines[last + 9][:-3]] + lines[last + 10:]),
                          ("a row is too long", lines[:last + 9] + [lines[last + 9][:-1] + ",7]"] + lines[last + 10:]),
                          ("the end is missing", lines[:-1]),
                          ("a word stands for a row", lines[:last + 9] + [RS + '"x"'] + lines[last + 10:])):
        found, notes = read(damaged)
        check(found["snapshots"] == document["snapshots"][:-1] and notes, f"{name}: that snapshot is left out, which is said", notes)
    check(refused(["nothing"], "no complete snapshot"), "a text without snapshots is refused")
    check(refused([lines[0].replace('"version": 1', '"version": 2')] + lines[1:], "version 2"), "another version is refused by name")
    check(refused(["{"], "Expecting"), "JSON that is none is refused")
    check(refused(['{"format": "other"}'], "not snapshots"), "JSON of something else is refused")


def check_sums(document):
    names = document["names"]
    check(not snapshots.totals(document["snapshots"][0], names)["wrong"], "sums that hold are not complained of")
    for table, field, what in (("run", 1, "a run that is a page longer"), ("run", 2, "a run in another state"), ("run", 5, "a run of another owner"),
                               ("untyped", 14, "an untyped that counts a page more"), ("use", 1, "a use that is larger"),
                               ("machine", 0, "RAM that is more"), ("untyped", 20, "a child that nobody has")):
        wrong = json.loads(json.dumps(document["snapshots"][0]))
        row = wrong["tables"][table]["rows"][-1]
        row[field] += 1 if table == "run" else 4096
        if field == 2:
            row[field] = 5 if row[field] != 6 and document["snapshots"][0]["tables"][table]["rows"][-1][2] != 5 else 2
        check(snapshots.totals(wrong, names)["wrong"], f"{what} is named")


def check_compare(document):
    old, new = document["snapshots"][0], json.loads(json.dumps(document["snapshots"][0]))
    check("nothing has changed" in compare.report(old, new, document["names"]), "a snapshot beside itself: nothing has changed")
    run = next(run for run in new["tables"]["run"]["rows"] if run[2] == 1 and run[1] > 8)
    run[2] = 5
    text = compare.report(old, new, document["names"])
    grown = compare.size(run[1] * 4096)
    check(any(line.split()[:2] == grown.split() and line.split()[-1] == "user" for line in text.split("\n")), "what became user is told, with its size", text)


def main():
    document = large.document(2000, 3)
    check_reading(document, lines_of(document))
    check_sums(document)
    check_compare(document)
    print(f"1..{count}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
