#!/usr/bin/python3
"""What ./quarry bench makes of the rows in build/bench/*.json: charts, a comparison, and docs/performance.md.

    bench_report.py check FOLDER SUITE               its files are arrays of well-formed rows, or exit 1 with what is wrong
    bench_report.py charts FOLDER SUITE              an SVG chart beside each file (by gnuplot)
    bench_report.py compare FOLDER SUITE BASELINE    what got better or worse beyond noise
    bench_report.py keep FOLDER SUITE BASELINE       this run is the baseline from now on
    bench_report.py document FOLDER SUITE DOCUMENT   the parts of it between <!-- begin NAME --> and <!-- end --> anew, and
                                                     charts beside it

A SUITE is the beginning of its files' names, or "all".
A row: suite, name, unit, ours, peers (name -> figure), aim (or null); times have lowest and highest, too. Instructions repeat
exactly, so that one per cent is a change; a time has changed if the ranges of the two runs do not meet, on the same host.
"""
import json
import pathlib
import platform
import re
import subprocess
import sys

NUMBER = (int, float)


def fail(text):
    sys.exit(f"bench_report: {text}")


def row_error(row):
    """What is wrong with a row, or None."""
    if not isinstance(row, dict):
        return "is no object"
    for key in ("suite", "name", "unit"):
        if not isinstance(row.get(key), str) or not row[key]:
            return f"has no {key}"
    if not isinstance(row.get("ours"), NUMBER) or row["ours"] < 0:
        return "has no figure of ours"
    if not isinstance(row.get("peers"), dict):
        return "has no peers"
    if "aim" not in row or not isinstance(row["aim"], (*NUMBER, type(None))):
        return "has no aim"
    if not all(isinstance(peer, (*NUMBER, type(None))) for peer in row["peers"].values()):
        return "has a peer without a figure"
    return None


def load(folder, suite):
    """The rows of each suite, by the name of its file."""
    suites = {}
    for path in sorted(pathlib.Path(folder).glob("*.json" if suite == "all" else f"{suite}*.json")):
        try:
            rows = json.loads(path.read_text())
        except ValueError as error:
            fail(f"{path.name}: {error}")
        if not isinstance(rows, list) or not rows:
            fail(f"{path.name} is no array of rows")
        for row in rows:
            if row_error(row):
                fail(f"{path.name}: the row {row} {row_error(row)}")
        keys = [(row["name"], row["unit"]) for row in rows]
        if len(set(keys)) != len(keys):
            fail(f"{path.name} has a row twice")
        suites[path.stem] = rows
    if not suites:
        fail(f"{folder} has no rows of {suite}")
    return suites


def hardware():
    """The host's CPU, as the kernel names it, and how many."""
    words = pathlib.Path("/proc/cpuinfo").read_text()
    names = re.findall(r"^(?:model name|uarch|isa)\s*:\s*(.*)$", words, re.MULTILINE)
    count = len(re.findall(r"^processor\s*:", words, re.MULTILINE))
    return f"{names[0] if names else platform.machine()}, CPUs: {count}"


def least(row, begin):
    """The least figure of the peers whose name begins so, and which way it was."""
    found = [(figure, name) for name, figure in row["peers"].items() if name.startswith(begin) and figure is not None]
    if not found:
        return None, ""
    figure, name = min(found)
    way = re.search(r"\((.*)\)", name)
    return figure, way.group(1) if way else ""


# ---- charts ----


def chart_columns(suite, rows):
    """Names of the columns, and rows (name, figures)."""
    if suite.startswith("machine"):
        columns = ["Quarry", "Linux lean", "Linux shipped"]
        lines = [(row["name"], [row["ours"], least(row, "Linux lean")[0], least(row, "Linux shipped")[0]]) for row in rows]
        return columns, [line for line in lines if line[1][1] is not None] or [(n, f[:1]) for n, f in lines]
    unit = "instructions" if suite == "heap" else "ns"
    rows = [row for row in rows if row["unit"] == unit] or rows
    peers = list(dict.fromkeys(name for row in rows for name in row["peers"]))
    return ["Quarry", *peers], [(row["name"], [row["ours"], *(row["peers"].get(name) for name in peers)]) for row in rows]


def chart(folder, suite, rows):
    """FOLDER/SUITE.svg: a group of bars a row, on a logarithmic scale."""
    columns, lines = chart_columns(suite, rows)
    lines = [(name, [figure if figure else None for figure in figures]) for name, figures in lines]
    lines = [line for line in lines if line[1][0]]
    if not lines:
        return
    used = [i for i in range(len(lines[0][1])) if any(figures[i] for _, figures in lines)]
    data = "\n".join('"' + name.replace("_", " ") + '" ' + " ".join(str(figures[i] or "NaN") for i in used) for name, figures in lines)
    plots = ", ".join(f'$data using {n + 2}{":xtic(1)" if n == 0 else ""} title "{columns[i]}"' for n, i in enumerate(used))
    target = pathlib.Path(folder) / f"{suite}.svg"
    unit = next(row["unit"] for row in rows if row["name"] == lines[0][0])
    script = f"""set terminal svg size {max(600, 40 * len(lines) + 200)},480 dynamic font "sans,11" background "white"
set output "{target}"
$data << END
{data}
END
set style data histogram
set style fill solid 0.9 noborder
set boxwidth 0.9
set logscale y
set grid ytics
set ylabel "{unit} (logarithmic)"
set xtics rotate by -45 scale 0
set key outside top center horizontal
set title "{suite}"
plot {plots}
"""
    done = subprocess.run(["gnuplot"], input=script, text=True, capture_output=True, check=False)
    if done.returncode:
        fail(f"gnuplot: {done.stderr.strip()}")


def charts(folder, suites):
    """The chart of each suite."""
    pathlib.Path(folder).mkdir(exist_ok=True)
    for suite, rows in suites.items():
        chart(folder, suite, rows)


# ---- the baseline ----


def compare(suites, baseline):
    """Lines that say what has changed."""
    kept = json.loads(pathlib.Path(baseline).read_text())
    same_host = kept["hardware"] == hardware()
    before = {(row["suite"], row["name"], row["unit"]): row for row in kept["rows"]}
    lines, seen, times_skipped = [], 0, 0
    for row in (row for rows in suites.values() for row in rows):
        old = before.get((row["suite"], row["name"], row["unit"]))
        if not old:
            continue
        exact = row["unit"] == "instructions"
        if not exact and not same_host:
            times_skipped += 1
            continue
        seen += 1
        if exact:
            changed = abs(row["ours"] - old["ours"]) * 100 > old["ours"]
        else:
            changed = row.get("lowest", row["ours"]) > old.get("highest", old["ours"]) or row.get(
                "highest", row["ours"]) < old.get("lowest", old["ours"])
        if changed:
            word = "worse" if row["ours"] > old["ours"] else "better"
            share = 100 * (row["ours"] - old["ours"]) / old["ours"] if old["ours"] else 100
            lines.append((abs(share), f"{word:6} {row['suite']} {row['name']}: {old['ours']} -> {row['ours']} {row['unit']} ({share:+.1f} %)"))
    lines = [text for _, text in sorted(lines, reverse=True)]
    lines.append(f"{seen} rows compared with the baseline, {len(lines)} changed beyond noise")
    if times_skipped:
        lines.append(f"{times_skipped} times are not compared: the baseline is of another host")
    return lines


def keep(suites, baseline):
    """One row a line, so that a change of the file can be read."""
    rows = [row for suite in suites.values() for row in suite]
    body = ",\n  ".join(json.dumps(row) for row in rows)
    pathlib.Path(baseline).write_text(f'{{"hardware": {json.dumps(hardware())}, "rows": [\n  {body}\n]}}\n')


# ---- the document ----


def table(head, lines):
    return "\n".join(["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *("| " + " | ".join(line) + " |" for line in lines)])


def text(figure, way=""):
    if figure is None:
        return "-"
    return f"{figure:,}" + (f" ({way})" if way else "")


def machine_compared(suites):
    """Rows that Linux has, too."""
    other = {row["name"]: row["ours"] for row in suites.get("machine-riscv64", [])}
    lines = []
    for row in suites.get("machine-x86_64", []):
        lean, way = least(row, "Linux lean")
        if lean is None:
            continue
        lines.append([row["name"], text(row["ours"]), text(lean, way), text(*least(row, "Linux shipped")), f"{lean / row['ours']:.1f}",
                      text(row["peers"].get("seL4")), text(row["aim"]), text(other.get(row["name"]))])
    return table(["operation", "Quarry", "Linux lean", "Linux shipped", "lean over Quarry", "seL4", "aim", "Quarry, RISC-V"], lines)


def machine_alone(suites):
    other = {row["name"]: row["ours"] for row in suites.get("machine-riscv64", [])}
    return table(["operation", "x86-64", "RISC-V", "seL4", "aim"],
                 [[row["name"], text(row["ours"]), text(other.get(row["name"])), text(row["peers"].get("seL4")), text(row["aim"])]
                  for row in suites.get("machine-x86_64", []) if least(row, "Linux lean")[0] is None])


def host(name):
    """A table of one suite on the host."""
    def make(suites):
        rows = suites.get(name, [])
        peers = list(dict.fromkeys(peer for row in rows for peer in row["peers"]))
        lines = [[row["name"], row["unit"], text(row["ours"]),
                  "" if row.get("lowest") == row.get("highest") else f"{text(row['lowest'])} - {text(row['highest'])}",
                  *(text(row["peers"].get(peer)) for peer in peers), text(row["aim"])] for row in rows]
        return table(["", "unit", "ours", "lowest - highest", *peers, "aim"], lines)
    return make


def footprint(suites):
    """Bytes on both architectures, beside what is published of others."""
    other = {row["name"]: row["ours"] for row in suites.get("footprint-riscv64", [])}
    rows = suites.get("footprint-x86_64", [])
    peers = list(dict.fromkeys(peer for row in rows for peer in row["peers"]))
    return table(["bytes", "x86-64", "RISC-V", *peers],
                 [[row["name"], text(row["ours"]), text(other.get(row["name"])), *(text(row["peers"].get(peer)) for peer in peers)]
                  for row in rows])


def peers_win(suites):
    """Every row of which a peer has less, and every aim that is missed."""
    lines = []
    for suite, rows in suites.items():
        if suite == "machine-riscv64":
            continue  # the figures of others are for x86-64
        for row in rows:
            better = [f"{name} {text(figure)}" for name, figure in row["peers"].items() if figure is not None and figure < row["ours"]]
            aim = f"aim {text(row['aim'])}" if row["aim"] is not None and row["ours"] > row["aim"] else ""
            if better or aim:
                lines.append([suite, row["name"], row["unit"], text(row["ours"]), "; ".join(better), aim])
    return table(["suite", "row", "unit", "ours", "who has less", "missed"], lines)


def below_twice(suites):
    """Faults, maps and unmaps that are not twice as good as Linux's."""
    wanted = re.compile(r"fault|map|reserve|cycle")
    lines = []
    for row in suites.get("machine-x86_64", []):
        lean, _ = least(row, "Linux lean")
        if lean is not None and lean < (2 if wanted.search(row["name"]) else 1) * row["ours"]:
            lines.append([row["name"], text(row["ours"]), text(lean), f"{lean / row['ours']:.2f}"])
    return table(["operation", "Quarry", "Linux lean", "lean over Quarry"], lines) if lines else "None."


def linux_said(folder):
    """What the two kernels said of themselves."""
    lines = []
    for kind in ("lean", "shipped"):
        console = pathlib.Path(folder) / f"linux-{kind}-1.console"
        said = re.findall(r"^linux: (.*?)\r?$", console.read_text(), re.MULTILINE) if console.exists() else []
        lines += [f"* {kind}: {line}" for line in said]
    return "\n".join(lines) or "* no Linux was to be had"


def document(folder, suites, path):
    """Make the parts between the marks anew; what no suite of this run has stays."""
    emulator = subprocess.run(["qemu-system-x86_64", "--version"], text=True, capture_output=True, check=False).stdout.split("\n")[0]
    parts = {
        "hardware": lambda: f"Host: {hardware()}. {emulator}.\n\n{linux_said(folder)}",
        "machine": lambda: machine_compared(suites),
        "machine-alone": lambda: machine_alone(suites),
        "below-twice": lambda: below_twice(suites),
        "peers-win": lambda: peers_win(suites),
        "footprint": lambda: footprint(suites),
        **{name: (lambda make=host(name): make(suites)) for name in ("phys", "heap", "vm")},
    }

    def part(match):
        if match.group(1) not in parts:
            fail(f"{path}: there is no part {match.group(1)}")
        return f"<!-- begin {match.group(1)} -->\n{parts[match.group(1)]()}\n<!-- end -->"

    old = pathlib.Path(path).read_text()
    pathlib.Path(path).write_text(re.sub(r"<!-- begin ([a-z-]+) -->\n.*?<!-- end -->", part, old, flags=re.DOTALL))


def main(arguments):
    if len(arguments) < 3 or len(arguments) != (3 if arguments[0] in ("check", "charts") else 4):
        sys.exit(__doc__)
    command, folder, suite = arguments[:3]
    suites = load(folder, suite)
    if command == "check":
        print(f"{sum(len(rows) for rows in suites.values())} rows in {len(suites)} files")
    elif command == "charts":
        charts(folder, suites)
    elif command == "compare":
        print("\n".join(compare(suites, arguments[3])))
    elif command == "keep":
        keep(suites, arguments[3])
    elif command == "document":
        document(folder, suites, arguments[3])
        charts(pathlib.Path(arguments[3]).with_suffix(""), suites)
    else:
        sys.exit(__doc__)


main(sys.argv[1:])
