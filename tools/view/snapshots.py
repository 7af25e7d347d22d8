"""Snapshots as the machine writes them (user/root/snapshot.h), read out of a console's text, and held against themselves.

A snapshot is a dictionary: the keys of its first line, and `tables`: name -> {"fields": [...], "rows": [[...], ...]}.
Lines that are no JSON text of ours are the rest of the console. What is incomplete or does not parse is told, and left
out as a whole: half a snapshot would be a wrong one. Cost: O(bytes).
"""
import json

RS = "\x1e"
PAGE = 4096
VERSION = 1

# State of frames -> the field of an untyped's record that counts them.
COUNTED = {
    "free": "free_bytes",
    "object": "object_bytes",
    "slab": "slab_bytes",
    "table": "table_bytes",
    "user": "frame_bytes",
    "metadata": "metadata_bytes",
    "in a CPU's cache": "cache_bytes",
}


class Problem(Exception):
    """The input is not what it should be; the text says where and what."""


def texts(lines):
    """The JSON texts of a console, with the numbers of their lines."""
    for number, line in enumerate(lines, 1):
        at = line.rfind(RS)
        if at >= 0:
            yield number, line[at + 1:].rstrip("\r\n")


class Reader:
    """Takes lines one after the other; `snapshots` are those that are complete."""

    def __init__(self):
        self.snapshots, self.names, self.notes = [], {}, []
        self.now = self.table = None
        self.rows = 0

    def note(self, number, what):
        self.notes.append(f"line {number}: {what}")

    def give_up(self, number, what):
        self.note(number, f"{what}; snapshot {self.now['snapshot']} is left out" if self.now else what)
        self.now = self.table = None

    def take(self, number, text):
        try:
            value = json.loads(text)
        except ValueError:
            self.give_up(number, "no JSON behind a record separator")
            return
        if isinstance(value, list):
            self.take_row(number, value)
        elif not isinstance(value, dict):
            self.give_up(number, "neither a row nor an object")
        elif "snapshot" in value:
            self.begin(number, value)
        elif "names" in value:
            self.names.setdefault(value["names"], {})[value["number"]] = value["name"]
        elif "record" in value and self.now is not None:
            self.table = {"fields": value["fields"], "rows": []}
            self.now["tables"][value["record"]] = self.table
        elif "end" in value and self.now is not None:
            self.end(number, value)

    def begin(self, number, value):
        if self.now is not None:
            self.give_up(number, "another one begins before the end")
        if value.get("version") != VERSION:
            raise Problem(f"line {number}: snapshots of version {value.get('version')}, this reads {VERSION}")
        self.now, self.table, self.rows = dict(value, tables={}), None, 0

    def take_row(self, number, row):
        if self.now is None:
            return
        if self.table is None or len(row) != len(self.table["fields"]):
            self.give_up(number, "a row that fits no table")
            return
        self.table["rows"].append(row)
        self.rows += 1

    def end(self, number, value):
        if value["end"] != self.now["snapshot"] or value["rows"] != self.rows:
            self.give_up(number, f"{self.rows} rows, {value['rows']} were written")
            return
        self.snapshots.append(self.now)
        self.now = self.table = None

    def document(self):
        return {"format": "quarry-snapshots", "version": VERSION, "names": self.names, "snapshots": self.snapshots}


def read(path):
    """The document of a file: a console's text, or what `./quarry view --json` wrote. And notes."""
    try:
        with open(path, encoding="utf-8", errors="replace", newline="\n") as file:
            text = file.read()
    except OSError as error:
        raise Problem(f"{path}: {error.strerror}") from error
    if text.lstrip().startswith("{") and RS not in text:
        try:
            document = json.loads(text)
        except ValueError as error:
            raise Problem(f"{path}: {error}") from error
        if document.get("format") != "quarry-snapshots" or document.get("version") != VERSION:
            raise Problem(f"{path}: not snapshots of version {VERSION}")
        document["names"] = {of: {int(n): name for n, name in names.items()}
                             for of, names in document["names"].items()}
        return document, []
    reader = Reader()
    for number, line in texts(text.split("\n")):
        reader.take(number, line)
    if reader.now is not None:
        reader.give_up(text.count("\n") + 1, "the text ends before the snapshot does")
    if not reader.snapshots:
        raise Problem(f"{path}: no complete snapshot" + "".join(f"\n  {note}" for note in reader.notes))
    return reader.document(), [f"{path}: {note}" for note in reader.notes]


def records(snapshot, table):
    """The rows of a table as dictionaries; none if it has no such table."""
    found = snapshot["tables"].get(table, {"fields": [], "rows": []})
    return [dict(zip(found["fields"], row)) for row in found["rows"]]


def totals(snapshot, names):
    """Bytes by state of frames, by use, by untyped and state; and what does not add up, as sentences."""
    by_state, by_use, by_owner, wrong = {}, {}, {}, []
    for run in records(snapshot, "run"):
        state, use, size = names["states"][run["state"]], names["uses"][run["use"]], run["pages"] * PAGE
        by_state[state] = by_state.get(state, 0) + size
        by_use[use] = by_use.get(use, 0) + size
        if run["owner"]:
            owner = by_owner.setdefault(run["owner"], {})
            owner[state] = owner.get(state, 0) + size
    usable = records(snapshot, "machine")[0]["usable_bytes"]
    parts = 0
    for use in records(snapshot, "use"):
        name = names["uses"][use["use"]]
        if name == "part of a page":
            parts = use["bytes"]
        elif by_use.get(name, 0) != use["bytes"]:
            wrong.append(f"{name}: {by_use.get(name, 0)} bytes in runs, {use['bytes']} by the memory map")
    if sum(by_use.values()) + parts != usable:
        wrong.append(f"runs of {sum(by_use.values())} bytes and parts of pages of {parts} are not the {usable} of RAM")
    wrong += owners_wrong(snapshot, by_owner)
    return {"usable": usable, "state": by_state, "use": by_use, "owner": by_owner, "wrong": wrong}


def owners_wrong(snapshot, by_owner):
    """Each untyped counts its frames by state, and what was carved out of it: the runs must say the same."""
    wrong, carved = [], {}
    untypeds = records(snapshot, "untyped")
    for untyped in untypeds:
        carved[untyped["parent"]] = carved.get(untyped["parent"], 0) + untyped["total_bytes"]
    for untyped in untypeds:
        number, has = untyped["untyped"], by_owner.get(untyped["untyped"], {})
        for state, field in COUNTED.items():
            if has.get(state, 0) != untyped[field]:
                wrong.append(f"untyped {number}: {has.get(state, 0)} bytes {state} in runs, its arena counts {untyped[field]}")
        if carved.get(number, 0) != untyped["child_bytes"]:
            wrong.append(f"untyped {number}: {carved.get(number, 0)} bytes carved out, its arena counts {untyped['child_bytes']}")
    return wrong
