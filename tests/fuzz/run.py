"""Mutated streams without end, each held against the invariants; what breaks one is kept in `found/`.

    python tests/fuzz/run.py [--streams 1_000_000] [--slice 3/20] [--proxy 2_000] [--seed 0] [--reader resp]

Stream n is always the same, so slices can run anywhere and at any time: slice k of m takes every m-th stream. `--proxy`
is how many of the streams, beside those, go through a real proxy. The status is 1 if anything was found.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections import Counter
from itertools import count
from random import Random

import growth
import invariants
import mutate
import streams
import through_proxy
from streams import FOUND, SEEDS, Stream

MEMORY_BYTES = 2 << 30
MOST_FOUND = 20


def seeds_by_reader(only: str | None) -> dict[str, list[Stream]]:
    known: dict[str, list[Stream]] = {}
    for stream in [*streams.corpus(SEEDS).values(), *streams.corpus(FOUND).values()]:
        if only in (None, stream.reader):
            known.setdefault(stream.reader, []).append(stream)
    return known


def stream_of(number: int, seed: int, known: dict[str, list[Stream]]) -> tuple[Stream, Random]:
    random = Random(f"{seed}/{number}")
    readers = sorted(known)
    return mutate.mutated(random, known[readers[number % len(readers)]]), random


def shortest(stream: Stream, breaks: object) -> Stream:
    """The same fault with fewer events and bytes."""
    assert callable(breaks)
    shrunk = True
    while shrunk:
        shrunk = False
        for shorter in _shorter(stream):
            if breaks(shorter):
                stream, shrunk = shorter, True
                break
    return stream


def _shorter(stream: Stream) -> list[Stream]:
    events = stream.events
    fewer = [stream._replace(events=events[:at] + events[at + 1 :]) for at in range(len(events))]
    for at, (direction, data) in enumerate(events):
        for size in (len(data) // 2, len(data) // 4, 8, 1):
            if not 0 < size < len(data) + (size == 1):
                continue
            for start in range(0, len(data), size):
                cut = direction, data[:start] + data[start + size :]
                fewer.append(stream._replace(events=(*events[:at], cut, *events[at + 1 :])))
    return fewer


def keep(stream: Stream, name: str, problem: str) -> None:
    FOUND.mkdir(exist_ok=True)
    streams.write(FOUND / f"{name}.txt", stream, problem.splitlines()[0][:200].encode("ascii", "replace").decode())


def always(stream: Stream) -> bool:
    """Broken when cut into bytes, or by one of a few other ways."""
    return any(invariants.broken(stream, Random(number)) for number in range(8))


def main() -> int:
    options = arguments()
    part, parts = map(int, options.slice.split("/"))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    known = seeds_by_reader(options.reader)
    found = 0
    seen: Counter[str] = Counter()
    begun = time.monotonic()
    for number in count(part - 1, parts):
        if number >= options.streams or found == MOST_FOUND:
            break
        stream, random = stream_of(number, options.seed, known)
        seen[stream.reader] += 1
        problems = invariants.broken(stream, random)
        if problems:
            found += 1
            small = shortest(stream, always) if always(stream) else stream
            keep(small, f"{stream.reader}-{options.seed}-{number}", problems[0])
            print(f"stream {number} ({stream.reader}): {problems[0]}", file=sys.stderr, flush=True)
    seconds = time.monotonic() - begun
    figures = ", ".join(f"{many:,} {reader}" for reader, many in sorted(seen.items()))
    total = sum(seen.values())
    print(f"{total:,} streams ({figures}) in {seconds:.0f} s, {total / max(seconds, 1e-9):.0f} a second")
    found += growth.report(part, parts, options.seed, known)
    found += through_proxy.report(options.proxy // parts, part, options.seed, known)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"{found} found; {peak_mib} MiB at most")
    return 1 if found else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=50_000)
    parser.add_argument("--slice", default="1/1")
    parser.add_argument("--proxy", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reader", choices=("resp", "postgres", "libpq"))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
