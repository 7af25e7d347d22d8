"""A machine of 64 GiB in snapshots that no machine wrote: for what a test of pictures cannot wait for.

16.8 million frames, cut into runs of all lengths, down to single frames that alternate; two nodes, some hundred untypeds.
The same seed gives the same machine. Its sums hold, as those of a real one do.
"""
import random

FRAMES = 64 << 18
RUN_FIELDS = ["frame", "pages", "state", "use", "order", "owner", "node"]
STATES = ["reserved", "free", "object", "slab", "table", "user", "device", "child arena", "metadata", "in a CPU's cache"]
USES = ["free", "frame 0, withheld", "kernel text", "untyped"]
COUNTS = ["free_bytes", "cache_bytes", "object_bytes", "slab_bytes", "frame_bytes", "table_bytes", "child_bytes", "metadata_bytes"]
OF_STATE = {1: "free_bytes", 2: "object_bytes", 3: "slab_bytes", 4: "table_bytes", 5: "frame_bytes", 8: "metadata_bytes", 9: "cache_bytes"}
UNTYPED_FIELDS = ["untyped", "parent", "payer", "objects", "first", "end", "node", "zone", "total_bytes", "large_bytes",
                  "largest_order", "allocations", "frees", "failures"] + COUNTS
UNTYPEDS = 200


def cut(random_, count):
    """Runs from frame 1 to the end, about `count`: each untyped has its stretch, most of it in short runs."""
    runs = [[0, 1, 0, 1, 0, 0, 0], [1, 511, 0, 2, 0, 0, 0]]
    stretch = (FRAMES - 512) // UNTYPEDS
    for owner in range(UNTYPEDS):
        at = 512 + owner * stretch
        end = FRAMES if owner == UNTYPEDS - 1 else at + stretch
        left = count // UNTYPEDS
        while at < end:
            order = random_.choice((0, 0, 0, 0, 1, 2, 3, 5))
            pages = min(end - at, random_.randint(1, 3) << order) if left > 1 else end - at
            state = random_.choice((1, 1, 2, 3, 4, 5, 5, 5, 8, 9)) if left > 1 else 1
            if runs[-1][2] == state and runs[-1][5] == owner + 2:
                state = 1 if state != 1 else 5
            runs.append([at, pages, state, 3, order if pages % (1 << order) == 0 else 0, owner + 2, int(at >= FRAMES // 2)])
            at, left = at + pages, left - 1
    return runs


def untypeds(runs):
    counts = {owner: dict.fromkeys(COUNTS, 0) for owner in range(2, UNTYPEDS + 2)}
    ends = {}
    for frame, pages, state, _, order, owner, _ in runs:
        if owner:
            counts[owner][OF_STATE[state]] += pages * 4096
            ends.setdefault(owner, [frame, 0])[1] = frame + pages
    rows = []
    for owner, (first, end) in ends.items():
        row = {"untyped": owner, "parent": 0, "payer": 0, "objects": 9, "first": first, "end": end, "node": int(first >= FRAMES // 2),
               "zone": 1, "total_bytes": (end - first) * 4096, "large_bytes": 0, "largest_order": 3, "allocations": 100,
               "frees": 50, "failures": 0, **counts[owner]}
        rows.append([row[field] for field in UNTYPED_FIELDS])
    return rows


def document(run_count, snapshots, seed=1):
    random_, shots = random.Random(seed), []
    for n in range(snapshots):
        runs = cut(random_, run_count)
        uses = {}
        for run in runs:
            uses[run[3]] = uses.get(run[3], 0) + run[1] * 4096
        tables = {
            "machine": {"fields": ["usable_bytes", "cpus", "nodes", "calls", "faults"], "rows": [[FRAMES * 4096, 8, 2, 1000 * n, 500 * n]]},
            "use": {"fields": ["use", "bytes"], "rows": [[use, size] for use, size in uses.items()]},
            "run": {"fields": RUN_FIELDS, "rows": runs},
            "untyped": {"fields": UNTYPED_FIELDS, "rows": untypeds(runs)},
            "cpu": {"fields": ["cpu", "node", "calls", "faults", "interrupts", "shootdowns", "switches"], "rows": [[0, 0, 1000 * n, 500 * n, 0, 0, 0]]},
            "process": {"fields": ["job", "space", "budget", "name"], "rows": [[0, 1, 2, "root"]]},
        }
        shots.append({"snapshot": n + 1, "version": 1, "now_ns": n * 10**9, "clock": n * 10**9, "clock_hz": 10**9,
                      "label": "made", "machine": "no machine", "tables": tables})
    names = {"states": dict(enumerate(STATES)), "uses": dict(enumerate(USES)), "objects": {0: "none"}, "calls": {0: "null"}}
    return {"format": "quarry-snapshots", "version": 1, "names": names, "snapshots": shots}
