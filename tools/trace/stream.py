"""
Reading a trace: the disk image that the root task's word `tracing` has written (include/quarry/trace.h).

The image describes itself: its first chunk is a table of events, their fields, calls, errors and objects.
"""

import struct

SECTOR = 512
DISK_MAGIC = b"quarry trace disk"
CHUNK_MAGIC = b"QYTRACE1"
HEADER = struct.Struct("<8sIIQQQ24x")
RECORD = struct.Struct("<QQQQQQIIQQQQQQ")
TABLE, RECORDS, SNAPSHOT, TAKEN, END = range(5)
CAUSE_BITS = 48


class TraceError(Exception):
    """The file is no trace, or not a whole one."""


class Event:
    """One record. fields: by name, as the table of the trace says."""

    __slots__ = ("number", "time", "cause", "thread", "process", "untyped", "cpu", "name", "fields")

    def __init__(self, words, events):
        (self.number, self.time, self.cause, self.thread, self.process, self.untyped, self.cpu, kind) = words[:8]
        if kind not in events:
            raise TraceError(f"record {self.number} is of event {kind}, which the table does not have")
        self.name, names = events[kind]
        self.fields = dict(zip(names, words[8:]))

    def where(self):
        """The kernel entry that caused it, as it is written: CPU:count."""
        return f"{self.cause >> CAUSE_BITS}:{self.cause & ((1 << CAUSE_BITS) - 1)}"


class Trace:
    """All records in the machine's order, and where its snapshots are."""

    def __init__(self, path):
        with open(path, "rb") as file:
            image = file.read()
        if not image.startswith(DISK_MAGIC):
            raise TraceError(f"{path} does not begin with '{DISK_MAGIC.decode()}'")
        self.names = {}  # kind of line -> number -> name
        self.events = {}  # number -> name, names of fields
        self.cpus = self.clock_hz = 0
        self.machine = ""
        self.records = []
        self.snapshots = []  # [number of the first record, number behind the last]
        self.lost = 0
        self.complete = False
        self.size = SECTOR
        self._read_chunks(image)
        self.records.sort(key=lambda record: record.number)
        self._count_gaps()

    def _read_chunks(self, image):
        at = SECTOR
        while at + HEADER.size <= len(image):
            magic, kind, _, size, lost, number = HEADER.unpack_from(image, at)
            if magic != CHUNK_MAGIC:
                break
            body = image[at + HEADER.size : at + HEADER.size + size]
            if len(body) != size:
                raise TraceError(f"the chunk at {at:#x} ends behind the end of the file")
            self.lost += lost
            self._read_chunk(kind, body, number)
            at += (HEADER.size + size + SECTOR - 1) // SECTOR * SECTOR
        self.size = at

    def _read_chunk(self, kind, body, number):
        if kind == TABLE:
            self._read_table(body.decode("ascii"))
        elif kind == RECORDS:
            if len(body) % RECORD.size:
                raise TraceError("a chunk of records has a part of one")
            self.records += [Event(words, self.events) for words in RECORD.iter_unpack(body)]
        elif kind == SNAPSHOT:
            self.snapshots.append([number, None])
        elif kind == TAKEN and self.snapshots:
            self.snapshots[-1][1] = number
        elif kind == END:
            self.complete = True

    def _read_table(self, text):
        for line in text.splitlines():
            kind, number, name = line.split(" ", 2)
            if kind == "event":
                words = name.split()
                self.events[int(number)] = (words[0], words[1:])
            elif kind == "machine":
                self.cpus, self.machine = int(number), name
            elif kind == "clock":
                self.clock_hz = int(number)
            else:
                self.names.setdefault(kind, {})[int(number)] = name.strip()

    def _count_gaps(self):
        """Every record has its number, so what is missing was lost; behind the last snapshot some were not read."""
        self.missing = 0
        if self.records:
            first, end = self.records[0].number, self.records[-1].number + 1
            if self.complete and self.snapshots and self.snapshots[-1][1]:
                end = self.snapshots[-1][1]
            self.missing = end - first - sum(record.number < end for record in self.records)

    def name(self, kind, number):
        """What a number means: a call, an error, an object."""
        return self.names.get(kind, {}).get(number, str(number))

    def microseconds(self, ticks):
        """Ticks of the machine's clock as microseconds."""
        return ticks * 1e6 / self.clock_hz if self.clock_hz else float(ticks)
