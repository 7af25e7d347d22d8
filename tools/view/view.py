"""./quarry view: snapshots of a machine as one page, as JSON, compared, or served while it runs.

    view.py page OUTPUT FILE...       one HTML file that needs nothing else
    view.py json FILE...              all snapshots as one JSON document on standard output
    view.py totals FILE               sums of the last snapshot, one a line, and whether they add up
    view.py compare A B               A and B: FILE, the last snapshot in it, or FILE#N
    view.py live CONSOLE PORT         a server for a console that grows

Exit codes: 0; 1 sums that do not add up (totals); 2 input that cannot be used, with a sentence on standard error.
"""
import json
import os
import re
import sys

import compare
import live
import snapshots

HERE = os.path.dirname(os.path.abspath(__file__))
SCRIPTS = ("data", "paint", "heatmap", "treemap", "spaces", "time", "changes", "tables", "app")


def part(name):
    with open(os.path.join(HERE, name), encoding="utf-8") as file:
        return file.read()


def embedded(document):
    """JSON that can stand inside of a script element."""
    return json.dumps(document, separators=(",", ":")).replace("<", "\\u003c")


def page(document, is_live=False):
    script = "".join(part(f"js/{name}.js") for name in SCRIPTS)
    parts = {"style": part("style.css"), "script": f"'use strict';\n(() => {{\n{script}}})();\n",
             "snapshots": embedded(document), "live": "true" if is_live else "false"}
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found.group(1)], part("page.html"))


def read_all(paths):
    """Several files of one machine, one after the other."""
    whole = None
    for path in paths:
        document, notes = snapshots.read(path)
        for note in notes:
            print(f"quarry: {note}", file=sys.stderr)
        if whole is None:
            whole = document
        else:
            whole["snapshots"] += document["snapshots"]
    return whole


def one(where):
    """FILE or FILE#N: a snapshot, and the names of its document."""
    path, _, number = where.partition("#") if re.search(r"#\d+$", where) else (where, "", "")
    document = read_all([path])
    if not number:
        return document["snapshots"][-1], document["names"]
    for snapshot in document["snapshots"]:
        if snapshot["snapshot"] == int(number):
            return snapshot, document["names"]
    raise snapshots.Problem(f"{path}: there is no snapshot {number}; there are "
                            + ", ".join(str(s["snapshot"]) for s in document["snapshots"]))


def show_totals(path):
    document = read_all([path])
    sums = snapshots.totals(document["snapshots"][-1], document["names"])
    print(f"usable {sums['usable']}")
    for kind in ("state", "use"):
        for name, size in sorted(sums[kind].items()):
            print(f"{kind} {name}: {size}")
    for owner, states in sorted(sums["owner"].items()):
        for name, size in sorted(states.items()):
            print(f"untyped {owner} {name}: {size}")
    for sentence in sums["wrong"]:
        print(f"wrong: {sentence}")
    return 1 if sums["wrong"] else 0


def main(words):
    command, arguments = words[0], words[1:]
    if command == "page":
        text = page(read_all(arguments[1:]))
        with open(arguments[0], "w", encoding="utf-8") as file:
            file.write(text)
    elif command == "json":
        print(embedded(read_all(arguments)))
    elif command == "totals":
        return show_totals(arguments[0])
    elif command == "compare":
        (old, names), (new, _) = one(arguments[0]), one(arguments[1])
        print(compare.report(old, new, names))
    elif command == "live":
        live.serve(arguments[0], int(arguments[1]), page)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except snapshots.Problem as problem:
        print(f"quarry: {problem}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(0)
