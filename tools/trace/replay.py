"""
Replay: the machine's memory, rebuilt from events alone.

    first snapshot -> frames, tables, spaces -> every event between -> compared with the last snapshot

What each frame is and whose, and what stands in each page table. Every event is held against the model before it
changes it: a frame that is allocated must have been free in that untyped, an entry must have been what the event says
it was. So a missing, doubled or misordered event is found where it happens.
"""

from stream import TraceError

FREE = 1  # enum qy_frame_state
TABLE = 4
LEVELS = 4
USER_ENTRIES = 256  # of a root table
ENTRY_EVENTS = (
    "page_mapped",
    "page_unmapped",
    "page_protected",
    "page_migrated",
    "page_promoted",
    "page_demoted",
    "table_linked",
    "table_unlinked",
)
CHANGES = ENTRY_EVENTS + ("frame_allocated", "frame_freed", "frame_changed", "range_moved", "space_root")


class Format:
    """How entries are read: x86-64 (AMD64 manual 2, 5.3) and RISC-V Sv48 (privileged 4.5)."""

    def __init__(self, machine):
        self.riscv = machine.startswith("riscv")
        # What the processor sets by itself: accessed and dirty.
        self.ignored = 0xC0 if self.riscv else 0x60

    def present(self, entry):
        return entry & 1

    def is_page(self, entry, level):
        if not entry & 1:
            return False
        return bool(entry & 0xE) if self.riscv else level == 1 or bool(entry & 0x80)

    def frame(self, entry):
        return (entry >> 10) & ((1 << 44) - 1) if self.riscv else (entry >> 12) & ((1 << 40) - 1)

    def same(self, first, second):
        return not (first ^ second) & ~self.ignored


class Memory:
    """Frames: number -> (state, untyped). Tables: frame -> index -> entry, those that lead somewhere. Spaces: id -> root."""

    def __init__(self, machine):
        self.format = Format(machine)
        self.frames = {}
        self.tables = {}
        self.spaces = {}

    # ---- snapshots ----

    def load(self, event):
        fields = event.fields
        if event.name == "frame_run":
            for frame in range(fields["frame"], fields["frame"] + fields["pages"]):
                self.frames[frame] = (fields["state"], event.untyped)
        elif event.name == "space_root":
            self.spaces[fields["space"]] = fields["frame"]
            self.tables.setdefault(fields["frame"], {})
        elif event.name == "entry":
            self.tables.setdefault(fields["table"], {})[fields["index"]] = fields["entry"]
            if not self.format.is_page(fields["entry"], fields["level"]):
                self.tables.setdefault(self.format.frame(fields["entry"]), {})

    # ---- events ----

    def apply(self, event):
        if event.name in ENTRY_EVENTS:
            self._entry(event)
        elif event.name in CHANGES:
            getattr(self, "_" + event.name)(event)

    def _wrong(self, event, what):
        raise TraceError(f"event {event.number} ({event.name}, cause {event.where()}): {what}")

    def _take(self, event, frame, pages, state, owner):
        for at in range(frame, frame + pages):
            if self.frames.get(at) != (state, owner):
                self._wrong(event, f"frame {at:#x} should be {(state, owner)}, and is {self.frames.get(at)}")

    def _frame_allocated(self, event):
        fields = event.fields
        pages = 1 << fields["order"]
        self._take(event, fields["frame"], pages, FREE, event.untyped)
        for at in range(fields["frame"], fields["frame"] + pages):
            self.frames[at] = (fields["state"], event.untyped)
            if fields["state"] == TABLE:
                self.tables[at] = {}

    def _frame_freed(self, event):
        fields = event.fields
        pages = 1 << fields["order"]
        self._take(event, fields["frame"], pages, fields["state"], event.untyped)
        for at in range(fields["frame"], fields["frame"] + pages):
            self.frames[at] = (FREE, event.untyped)
            self.tables.pop(at, None)

    def _frame_changed(self, event):
        fields = event.fields
        pages = 1 << fields["order"]
        self._take(event, fields["frame"], pages, fields["from"], event.untyped)
        for at in range(fields["frame"], fields["frame"] + pages):
            self.frames[at] = (fields["state"], event.untyped)

    def _range_moved(self, event):
        fields = event.fields
        self._take(event, fields["frame"], fields["pages"], FREE, fields["from"])
        for at in range(fields["frame"], fields["frame"] + fields["pages"]):
            self.frames[at] = (FREE, event.untyped)

    def _space_root(self, event):
        if event.fields["kind"]:
            self.spaces[event.fields["space"]] = event.fields["frame"]
        else:
            self.spaces.pop(event.fields["space"], None)

    def _entry(self, event):
        fields = event.fields
        table = self.tables.get(fields["table"])
        if table is None:  # of a memory object's own tree, that was there at the snapshot
            table = self.tables[fields["table"]] = {}
        elif self.format.present(fields["before"]) or fields["index"] in table:
            was = table.get(fields["index"], 0)
            known = fields["before"] if self.format.present(fields["before"]) else 0
            if not self.format.same(was, known) and table:
                self._wrong(event, f"entry {fields['index']} of {fields['table']:#x} should be {was:#x}")
        if self.format.present(fields["entry"]):
            table[fields["index"]] = fields["entry"]
        else:
            table.pop(fields["index"], None)

    # ---- what there is ----

    def mappings(self):
        """(space, address, level) -> entry, of every space's user half, tables and pages."""
        found = {}
        for space, root in self.spaces.items():
            self._walk(space, root, LEVELS, 0, found)
        return found

    def _walk(self, space, frame, level, base, found):
        for index, entry in self.tables.get(frame, {}).items():
            if level == LEVELS and index >= USER_ENTRIES:
                continue
            address = base + (index << (12 + 9 * (level - 1)))
            found[space, address, level] = entry & ~self.format.ignored
            if not self.format.is_page(entry, level):
                self._walk(space, self.format.frame(entry), level - 1, address, found)


def snapshot_of(trace, span):
    """What a snapshot says; that nothing changed while it was taken is looked at, too."""
    memory = Memory(trace.machine)
    for event in trace.records:
        if span[0] <= event.number < span[1]:
            if event.name in CHANGES and event.name != "space_root":
                raise TraceError(f"event {event.number} ({event.name}) stands in the middle of a snapshot")
            memory.load(event)
    return memory


def compare(what, model, truth):
    """Differences of two dictionaries, the first few as text."""
    different = [key for key in model.keys() | truth.keys() if model.get(key) != truth.get(key)]
    for key in sorted(different)[:8]:
        print(f"replay: {what} {key}: the events say {model.get(key)}, the machine {truth.get(key)}")
    return len(different)


def replay(trace):
    """Rebuild, compare, say what there was. Raises TraceError where the trace contradicts itself."""
    if trace.lost or trace.missing:
        raise TraceError(f"{trace.lost} records were lost ({trace.missing} numbers are missing); nothing can be rebuilt")
    if len(trace.snapshots) < 2 or None in trace.snapshots[0] or None in trace.snapshots[-1]:
        raise TraceError("the trace has no snapshot at its begin and at its end")
    memory = snapshot_of(trace, trace.snapshots[0])
    truth = snapshot_of(trace, trace.snapshots[-1])
    begin, end = trace.snapshots[0][1], trace.snapshots[-1][0]
    changes = 0
    for event in trace.records:
        if begin <= event.number < end:
            memory.apply(event)
            changes += event.name in CHANGES
    mappings = truth.mappings()
    different = compare("frame", memory.frames, truth.frames)
    different += compare("space", memory.spaces, truth.spaces)
    different += compare("mapping", memory.mappings(), mappings)
    if different:
        raise TraceError(f"{different} differences between what the events say and what the machine has")
    print(
        f"replay: {changes} changes rebuild {len(truth.frames)} frames, {len(mappings)} entries in "
        f"{len(truth.spaces)} spaces: as the machine has them"
    )
    return changes
