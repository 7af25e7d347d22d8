"""Two snapshots, one beside the other: what grew, whose it is, since when, and which call made it."""
import snapshots as s


def size(number):
    """Bytes for people, with a sign."""
    sign, rest = ("-" if number < 0 else "+" if number > 0 else " "), float(abs(number))
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if rest < 1024 or unit == "TiB":
            return f"{sign}{rest:.0f} {unit}" if unit == "B" or rest == int(rest) else f"{sign}{rest:.1f} {unit}"
        rest /= 1024
    return ""


def owner_names(snapshot):
    names = {}
    for process in s.records(snapshot, "process"):
        names.setdefault(process["budget"], process["name"])
    return names


def owners(old, new, names):
    """(bytes, untyped, whose, state): differences of what untypeds have, largest growth first."""
    before, after = s.totals(old, names)["owner"], s.totals(new, names)["owner"]
    called = {**owner_names(old), **owner_names(new)}
    rows = []
    for owner in before.keys() | after.keys():
        for state in before.get(owner, {}).keys() | after.get(owner, {}).keys():
            delta = after.get(owner, {}).get(state, 0) - before.get(owner, {}).get(state, 0)
            if delta:
                news = " (new)" if owner not in before else " (gone)" if owner not in after else ""
                rows.append((delta, owner, called.get(owner, "") + news, state))
    return sorted(rows, reverse=True)


def spaces(old, new):
    """(bytes, space, name, what it has now)."""
    def resident(snapshot):
        sums = {}
        for region in s.records(snapshot, "region"):
            sums[region["space"]] = sums.get(region["space"], 0) + region["resident"]
        return sums

    before, after = resident(old), resident(new)
    called = {p["space"]: p["name"] for shot in (old, new) for p in s.records(shot, "process")}
    rows = [(after.get(n, 0) - before.get(n, 0), n, called.get(n, ""), after.get(n, 0))
            for n in before.keys() | after.keys()]
    return sorted((row for row in rows if row[0]), reverse=True)


def chains(old, new, names):
    """(bytes, objects, untyped, thread, call, place, what, first made at): live objects by who made them and where."""
    def live(snapshot):
        groups = {}
        for a in s.records(snapshot, "allocation"):
            group = groups.setdefault((a["untyped"], a["thread"], a["call"], a["site"], a["type"]), [0, 0, []])
            group[0] += a["bytes"]
            group[1] += 1
            group[2].append((a["object"], a["time"]))
        return groups

    before, after, sites = live(old), live(new), s.records(new, "site")
    newest = max((made[0] for group in before.values() for made in group[2]), default=0)
    hz, rows = new["clock_hz"], []
    for key in before.keys() | after.keys():
        had, has = before.get(key, [0, 0, []]), after.get(key, [0, 0, []])
        if has[:2] == had[:2]:
            continue
        untyped, thread, call, site, kind = key
        place = f"{sites[site]['file']}:{sites[site]['line']}" if site < len(sites) else "?"
        fresh = [made[1] for made in has[2] if made[0] > newest]
        since = f"{max(0, new['clock'] - min(fresh)) / hz:.3f} s before" if fresh and hz else "-"
        rows.append((has[0] - had[0], has[1] - had[1], untyped, thread,
                     names["calls"].get(call, "boot") if call else "boot", place, names["objects"].get(kind, "?"), since))
    return sorted(rows, reverse=True)


def table(heads, rows):
    cells = [list(heads)] + [[str(cell) for cell in row] for row in rows]
    width = [max(len(row[i]) for row in cells) for i in range(len(heads))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, width)).rstrip() for row in cells]
    lines.insert(1, "  ".join("-" * w for w in width))
    return "\n".join("   " + line for line in lines)


def report(old, new, names):
    """The comparison as text."""
    seconds = (new["now_ns"] - old["now_ns"]) / 1e9
    text = [f"from {old['label']} (snapshot {old['snapshot']}) to {new['label']} (snapshot {new['snapshot']}): {seconds:.3f} s"]
    free = s.totals(new, names)["state"].get("free", 0) - s.totals(old, names)["state"].get("free", 0)
    text.append(f"free memory: {size(free).strip()}")
    rows = [(size(d), o, whose, state) for d, o, whose, state in owners(old, new, names)]
    text.append("\nwhat untypeds have:\n" + table(("bytes", "untyped", "whose", "as"), rows) if rows
                else "\nwhat untypeds have: nothing has changed")
    rows = [(size(d), n, name, size(has).strip()) for d, n, name, has in spaces(old, new)]
    text.append("\nwhat is there in address spaces:\n" + table(("bytes", "space", "whose", "now"), rows) if rows
                else "\nwhat is there in address spaces: nothing has changed")
    if not s.records(new, "site"):
        text.append("\nwhich call made what lives: boot with heap=track, and both snapshots tell")
        return "\n".join(text)
    rows = [(size(row[0]), f"{row[1]:+d}") + row[2:] for row in chains(old, new, names)]
    heads = ("bytes", "objects", "untyped", "thread", "call", "made at", "what", "since")
    text.append("\nobjects of the kernel that live:\n" + table(heads, rows) if rows
                else "\nobjects of the kernel that live: the same")
    return "\n".join(text)
