"""numbers.py CONSOLE: every snapshot of a console is whole, and all its sums hold; exit code 1 and a sentence if not."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools/view"))

import snapshots


def space_wrong(snapshot):
    """What is resident is private or shared, Pss is at most Rss, and all Pss together is at most what users have."""
    wrong, proportional = [], 0
    for region in snapshots.records(snapshot, "region"):
        proportional += region["proportional"]
        if region["private_bytes"] + region["shared_bytes"] != region["resident"]:
            wrong.append(f"space {region['space']}: neither private nor shared at {region['start']:#x}")
        if region["proportional"] > region["resident"] or region["large"] + region["huge"] > region["resident"]:
            wrong.append(f"space {region['space']}: more than all at {region['start']:#x}")
    user = sum(run["pages"] for run in snapshots.records(snapshot, "run") if run["owner"]) * snapshots.PAGE
    if not 0 < proportional <= user:
        wrong.append(f"Pss of all spaces is {proportional}, untypeds have {user}")
    tables = sum(region["tables"] for region in snapshots.records(snapshot, "region")) * snapshots.PAGE
    has = sum(untyped["table_bytes"] for untyped in snapshots.records(snapshot, "untyped"))
    if not 0 < tables <= has:
        wrong.append(f"spaces have page tables of {tables}, untypeds count {has}")
    return wrong


def main(path):
    document, notes = snapshots.read(path)
    wrong = list(notes)
    for snapshot in document["snapshots"]:
        for sentence in snapshots.totals(snapshot, document["names"])["wrong"] + space_wrong(snapshot):
            wrong.append(f"snapshot {snapshot['snapshot']}: {sentence}")
    first, last = document["snapshots"][0], document["snapshots"][-1]
    if len(document["snapshots"]) < 4:
        wrong.append(f"only {len(document['snapshots'])} snapshots")
    if not any(snapshots.records(s, "region") and len(snapshots.records(s, "space")) >= 4 for s in document["snapshots"]):
        wrong.append("no snapshot has the spaces of programs that run")
    sums = [snapshots.totals(s, document["names"])["state"]["user"] for s in (first, last)]
    if sums[0] != sums[1]:
        wrong.append(f"user frames were {sums[0]} bytes before the programs and {sums[1]} after them")
    for sentence in wrong[:20]:
        print(f"{os.path.basename(path)}: {sentence}")
    print(f"{os.path.basename(path)}: {len(document['snapshots'])} snapshots, {'sums do not hold' if wrong else 'all sums hold'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
