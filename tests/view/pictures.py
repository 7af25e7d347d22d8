"""The page in a browser, clicked through: pictures.py CONSOLE OUTPUT

CONSOLE: of a machine that wrote snapshots, and the tables of the last one. OUTPUT: a folder for pages and screenshots.
TAP on standard output. It would miss a picture that is wrong where its numbers are right: for that there are the
screenshots. The console's tables, the JSON and the page are held against each other.
"""
import json
import os
import re
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../../tools/view")]

import large
import snapshots
import view
from browser import Browser

DRAWN_MAX = 50000
count = failed = 0


def check(ok, what, *about):
    global count, failed
    count += 1
    failed += not ok
    print(f"{'ok' if ok else 'not ok'} {count} - {what}", flush=True)
    if not ok:
        print("#", *about, flush=True)


# ---- numbers: console, JSON and page ----

def console_table(console, title):
    """Rows of the table behind a line of the console."""
    lines = console[console.index(title):].split("\n")[3:]
    return [line.split() for line in lines[:next(i for i, line in enumerate(lines) if not line.startswith("   "))]]


def cut_size(size):
    """As the machine prints sizes: one decimal, cut off."""
    unit = 0
    while size >> (10 * (unit + 1)):
        unit += 1
    rest = (size & ((1 << (10 * unit)) - 1)) * 10 >> (10 * unit)
    return f"{size >> (10 * unit)}{f'.{rest}' if rest else ''} {['B', 'KiB', 'MiB', 'GiB'][unit]}" if size else "-"


def check_numbers(page, console, document):
    last, names = document["snapshots"][-1], document["names"]
    orders = {}
    for run in snapshots.records(last, "run"):
        if names["states"][run["state"]] == "free":
            row = orders.setdefault(run["owner"], [0] * 19)
            row[run["order"]] += run["pages"] >> run["order"]
    wanted = [[str(u["node"]), "Normal" if u["zone"] else "DMA32", str(u["untyped"])] + cut_size(u["free_bytes"]).split()
              + [str(n) for n in orders.get(u["untyped"], [0] * 19)] for u in snapshots.records(last, "untyped")]
    found = console_table(console, "view: free blocks by order")
    check(found == wanted, "buddyinfo on the console is what the JSON's runs say", found, wanted)
    caches = [[names["objects"][i], str(c["live"]), str(c["capacity"])] for i, c in enumerate(snapshots.records(last, "cache")) if c["allocations"]]
    found = console_table(console, "view: caches of objects")
    found = [[" ".join(row[:next(i for i, w in enumerate(row) if w.isdigit())])] + [w for w in row if w.isdigit()][:2] for row in found]
    check(found == caches, "slabinfo on the console is what the JSON's caches say", found, caches)
    resident = {}
    for region in snapshots.records(last, "region"):
        resident[region["space"]] = resident.get(region["space"], 0) + region["resident"]
    found = {int(row[0]): " ".join(row[3:5]) for row in console_table(console, "view: processes")}
    check(found == {space: cut_size(size) for space, size in resident.items()}, "processes on the console have what the JSON's regions say", found, resident)
    check_page_numbers(page, document)


def check_page_numbers(page, document):
    wrong = []
    for i, snapshot in enumerate(document["snapshots"]):
        here, there = snapshots.totals(snapshot, document["names"]), page.ask(f"quarry.totals(quarry.shots[{i}])")
        owners = {str(owner): states for owner, states in here["owner"].items()}
        if here["wrong"] or there["wrong"]:
            wrong.append((i, "does not add up", here["wrong"][:3]))
        if (here["usable"], here["state"], here["use"], owners) != (there["usable"], there["state"], there["use"], there["owner"]):
            wrong.append((i, "page and JSON differ"))
    check(not wrong, "in every snapshot all sums hold, and the page has the same as the JSON", wrong)
    page.ask(f"quarry.show({len(document['snapshots']) - 1})")
    page.key("6")
    cells = page.ask("[...document.querySelectorAll('#sums table')].map((t) => Object.fromEntries([...t.tBodies[0].rows].map((r) => [r.cells[0].textContent, Number(r.cells[1].textContent)])))")
    sums = snapshots.totals(document["snapshots"][-1], document["names"])
    states = {("in no untyped" if name == "reserved" else name): size for name, size in sums["state"].items()}
    check(cells == [states, sums["use"]], "the page's table shows these bytes", cells, states, sums["use"])


# ---- the page as a person uses it ----

def check_map(page, shot):
    page.key("1")
    total = page.ask("quarry.runs(quarry.current()).total")
    check(page.ask("quarry.map.span") == total, "the map begins with all RAM")
    for _ in range(3):
        page.key("+")
    zoomed = page.ask("quarry.map.span")
    check(0 < zoomed <= total / 7, "+ zooms in", zoomed, total)
    page.wheel("#map", (0.5, 0.5), -200)
    check(page.ask("quarry.map.span") < zoomed, "the wheel zooms in")
    page.key("ArrowDown")
    page.click("#map", (0.4, 0.4))
    selected = page.ask("quarry.map.selected")
    check(selected >= 0 and "frame" in page.ask("document.querySelector('#details h2').textContent"), "a click shows a frame", selected)
    while page.ask("quarry.map.span") > 64:
        page.key("+")
    check(page.ask("quarry.map.layout.frames") == 1, "zooming ends at single frames")
    check(page.ask("quarry.map.selected >= quarry.map.from && quarry.map.selected < quarry.map.from + quarry.map.span"), "what is selected stays in the picture")
    page.picture(shot("frames"))
    page.key("0")
    check(page.ask("quarry.map.span") == total, "0 shows all again")
    for by in ("owner", "order", "node", "purpose"):
        page.key("c")
        check(page.ask("quarry.map.by") == by, f"c colours by {by}", page.ask("quarry.map.by"))
        page.picture(shot(f"map-{by}"))


def check_search(page, document):
    last = document["snapshots"][-1]
    untyped = snapshots.records(last, "untyped")[0]
    page.key("/")
    page.type(f"0x{untyped['first'] * 4096:x}")
    page.key("Enter")
    check(page.ask("document.querySelector('#details h2').textContent") == f"frame {untyped['first']}", "an address is found",
          page.ask("document.querySelector('#details').textContent"))
    for words, found in (("root", True), ("slab", True), ("nobody has this", False)):
        page.ask("document.querySelector('#search').value = ''; document.querySelector('#search').focus()")
        page.type(words)
        page.key("Enter")
        check((page.ask("quarry.map.found !== null")) == found, f"'{words}' is {'found' if found else 'not found'}")
    page.key("Escape")


def check_time(page, shots):
    page.ask(f"quarry.show({shots - 1})")
    page.key("[")
    check(page.ask("quarry.shots.indexOf(quarry.current())") == shots - 2, "[ goes back")
    page.key("]")
    check(page.ask("quarry.shots.indexOf(quarry.current())") == shots - 1, "] goes on")
    page.click("#slider", (0.005, 0.5))
    check(page.ask("quarry.shots.indexOf(quarry.current())") == 0, "the slider goes to the first")
    before = page.ask("document.querySelector('#when').textContent")
    page.click("#after")
    check(page.ask("document.querySelector('#when').textContent") != before, "and on by its button", before)


def check_tabs(page, shot):
    for i, name in enumerate(("map", "untypeds", "spaces", "time", "changes", "tables"), 1):
        page.key(str(i))
        shown = page.ask("[...document.querySelectorAll('main > section.shown')].map((s) => s.id).join()")
        check(shown == f"view-{name}", f"{i} shows {name}", shown)
        page.picture(shot(name))
    page.key("2")
    page.click("#treemap svg", (0.2, 0.5))
    check(page.ask("document.querySelectorAll('#details dt').length") > 10, "a click into the treemap describes an untyped")
    page.key("5")
    changed = page.ask("document.querySelectorAll('#changes tbody tr').length")
    check(changed > 5, "programs that run have changed something", changed)
    theme = page.ask("document.documentElement.dataset.theme")
    page.key("t")
    check(page.ask("document.documentElement.dataset.theme") != theme, "t turns light and dark")
    page.key("1")
    page.picture(shot("dark"))
    page.key("t")
    page.key("?")
    check(page.ask("document.querySelector('#keys').open"), "? lists the keys")
    page.key("Escape")
    page.ask("document.querySelector('#keys').close()")


def check_large(page, output):
    document = large.document(400000, 2)
    path = os.path.join(output, "large.html")
    with open(path, "w", encoding="utf-8") as file:
        file.write(view.page(document))
    page.open(path)
    runs = page.ask("quarry.runs(quarry.current()).n")
    check(runs > 300000 and page.ask("quarry.runs(quarry.current()).total") == large.FRAMES, "16.8 million frames are loaded", runs)
    check(page.ask("quarry.totals(quarry.current()).wrong.length") == 0, "their sums hold")
    most, slowest = 0, 0
    for by in ("purpose", "owner", "order", "node"):
        page.key("0")
        most = max(most, page.ask("quarry.drawn.map"))
        for _ in range(20):
            begin = time.monotonic()
            most = max(most, page.ask("(quarry.zoomMap(0.5), quarry.drawn.map)"))
            slowest = max(slowest, time.monotonic() - begin)
        page.key("c")
    page.ask("quarry.map.span = 0")
    most = max(most, page.ask("(quarry.search('user'), quarry.drawn.map)"))
    for tab in "23456":
        page.key(tab)
    most = max(most, *page.ask("Object.values(quarry.drawn)"))
    check(0 < most <= DRAWN_MAX, f"at any zoom at most {DRAWN_MAX} elements are drawn", most)
    page.key("1")
    page.key("0")
    page.picture(os.path.join(output, "large.png"))
    print(f"# 64 GiB, {runs} runs: at most {most} elements drawn, a zoom takes {slowest * 1000:.0f} ms here at most")


def main(console_path, output):
    os.makedirs(output, exist_ok=True)
    document, notes = snapshots.read(console_path)
    with open(console_path, encoding="utf-8", errors="replace") as file:
        console = file.read().replace("\r", "")
    check(not notes and len(document["snapshots"]) >= 4, "the console's snapshots are whole", notes)
    path = os.path.join(output, "view.html")
    with open(path, "w", encoding="utf-8") as file:
        file.write(view.page(document))
    check(not re.search(r"(src|href)=|url\(|https?://(?!www\.w3\.org)", view.page({**document, "snapshots": []})), "the page asks nobody for anything")
    with Browser() as page:
        page.open(path)
        check_numbers(page, console, document)
        page.ask("quarry.show(3)")
        check_map(page, lambda name: os.path.join(output, f"{name}.png"))
        check_search(page, document)
        check_time(page, len(document["snapshots"]))
        check_tabs(page, lambda name: os.path.join(output, f"{name}.png"))
        page.print(os.path.join(output, "view.pdf"))
        check(os.path.getsize(os.path.join(output, "view.pdf")) > 20000, "it prints")
        check_large(page, output)
        check(not page.errors, "no script has failed", page.errors)
    print(f"1..{count}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
