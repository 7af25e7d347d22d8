"""
What a trace of Quarry says: python3 quarry_trace.py COMMAND FILE [ARGUMENT].

    summary FILE         how often each event, by whom; what was lost
    chain FILE NUMBER    one event, the entry that caused it, and what caused that
    replay FILE          rebuild the machine's memory from the events, and compare it with the last snapshot
    json FILE OUT        Chrome's and Perfetto's trace event format
    words FILE OUT       the records as fixed words, for ctf.c
"""

import collections
import json
import struct
import sys

from replay import replay
from stream import RECORD, Trace, TraceError

ENTRIES = ("call", "fault")


def describe(trace, event):
    """One line."""
    text = f"{event.number:>8} {trace.microseconds(event.time):14.1f} us  cpu {event.cpu} entry {event.where():>9}"
    text += f" thread {event.thread} process {event.process}"
    text += f" untyped {event.untyped}" if event.untyped else ""
    text += f"  {event.name}"
    for field, value in event.fields.items():
        if event.name in ("call", "error") and field == "number":
            value = trace.name("call", value)
        elif field == "error":
            value = trace.name("error", value)
        elif field == "type":
            value = trace.name("object", value)
        elif field == "because":
            value = f"{value >> 48}:{value & ((1 << 48) - 1)}"
        else:
            value = value if value < 1000 else hex(value)
        text += f" {field}={value}"
    return text


def summary(trace):
    """Counts, the busiest entries, and losses."""
    counts = collections.Counter(event.name for event in trace.records)
    print(f"trace: {len(trace.records)} events of {trace.cpus} CPUs ({trace.machine})")
    print(f"trace: {trace.lost} lost, {trace.missing} numbers missing" + ("" if trace.complete else "; NOT complete"))
    for name, count in counts.most_common():
        print(f"  {count:>8}  {name}")
    causes = collections.Counter(event.cause for event in trace.records if event.name not in ENTRIES)
    entries = {event.cause: event for event in trace.records if event.name in ENTRIES}
    print("trace: the entries that caused most")
    for cause, count in causes.most_common(5):
        entry = entries.get(cause)
        print(f"  {count:>8}  {describe(trace, entry) if entry else 'interrupt or boot'}")


def chain_of(trace, number):
    """An event, the entry that caused it, the entry because of which that one ran, and so on."""
    entries = {event.cause: event for event in trace.records if event.name in ENTRIES}
    found = [event for event in trace.records if event.number == number]
    if not found:
        raise TraceError(f"there is no event {number}")
    links = [found[0]]
    seen = set()
    cause = found[0].cause
    while cause in entries and cause not in seen:
        seen.add(cause)
        if entries[cause] is not links[-1]:
            links.append(entries[cause])
        cause = entries[cause].fields.get("because", 0)
    return links


def chain(trace, number):
    """The chain, a line each."""
    for depth, event in enumerate(chain_of(trace, number)):
        print("  " * depth + describe(trace, event))


def chrome(trace, path):
    """Trace Event Format: entries and shootdowns with their length, the others as moments."""
    events = []
    for process in sorted({event.process for event in trace.records}):
        name = f"space {process}" if process else "kernel"
        events.append({"name": "process_name", "ph": "M", "pid": process, "tid": 0, "args": {"name": name}})
    for event in trace.records:
        length = event.fields.get("cost", event.fields.get("wait", 0))
        name = trace.name("call", event.fields["number"]) if event.name == "call" else event.name
        item = {
            "name": name,
            "cat": event.name,
            "ph": "X" if length else "i",
            "ts": trace.microseconds(event.time - length),
            "pid": event.process,
            "tid": event.thread,
            "args": dict(event.fields, number=event.number, cpu=event.cpu, cause=event.where(), untyped=event.untyped),
        }
        item.update({"dur": trace.microseconds(length)} if length else {"s": "t"})
        events.append(item)
    with open(path, "w", encoding="ascii") as file:
        json.dump({"traceEvents": events, "displayTimeUnit": "ns"}, file)
    print(f"trace: {len(events)} entries in {path}")


def words(trace, path):
    """A head of four words, then the records: sorted by CPU, each in its order."""
    kinds = {name: number for number, (name, _) in trace.events.items()}
    with open(path, "wb") as file:
        file.write(struct.pack("<4Q", len(trace.records), trace.clock_hz, trace.lost, trace.cpus))
        for event in sorted(trace.records, key=lambda record: (record.cpu, record.number)):
            fields = list(event.fields.values()) + [0] * (6 - len(event.fields))
            head = (event.number, event.time, event.cause, event.thread, event.process, event.untyped)
            file.write(RECORD.pack(*head, event.cpu, kinds[event.name], *fields))


def main(arguments):
    """Exit code 1: the trace is not what it should be."""
    commands = {"summary": (summary, 0), "chain": (chain, 1), "replay": (replay, 0), "json": (chrome, 1), "words": (words, 1)}
    if len(arguments) < 2 or arguments[0] not in commands or len(arguments) - 2 != commands[arguments[0]][1]:
        print(__doc__, file=sys.stderr)
        return 2
    command, _ = commands[arguments[0]]
    rest = [int(arguments[2])] if arguments[0] == "chain" else arguments[2:]
    try:
        command(Trace(arguments[1]), *rest)
    except (OSError, TraceError) as error:
        print(f"trace: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
