"""What caches take, ours and others', beside a raw GET in the same run.

    python benchmarks/caching.py [PEER...] [--row TEXT...]

All peers (modules of caches/) if none is named, and all rows, or those that hold one of the texts.

    pip install 'cashews[redis]' aiocache dogpile.cache django-redis redisvl 'requests-cache[redis]' cachetools hiredis

A cache that is not installed has no column, and the text says so. Each call takes turns with a GET of the same 2 kB in
this process, so that a busy machine slows both: the ratio of the medians is what counts. Hits in the process are too
short for that; they are the median of rounds of a thousand. Round trips are counted on the wire, in a pass of their
own. Prints Markdown.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import sys
import warnings
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from typing import Any

import redis
from caches import case
from caches.case import ROWS, STRANGERS, VALUE, Contender
from caches.measuring import Measured, loads_of_a_herd, measured
from caches.ours import ours
from caches.peers import PEERS

from redis_perf import servers
from redis_perf_reference.codec import Codec

OURS = ("ours", "ours, asyncio")


class Results:
    """By row, then by contender's name. Without any `parts` of names, of all rows."""

    def __init__(self, url: str, parts: list[str]) -> None:
        self._url = url
        self._raw = redis.Redis.from_url(url)
        self.rows: dict[str, dict[str, Measured]] = {row: {} for row in ROWS if _has_one(row, parts)}
        self._all = not parts
        self.loads: dict[str, int | None] = {}
        self.waits: dict[str, bool] = {}

    async def add(self, entering: AbstractAsyncContextManager[Contender]) -> None:
        self._fill(0)
        async with entering as contender:
            for row, each in contender.cases.items():
                if row not in self.rows:
                    continue
                if row in (case.SCAN, case.AT_ONCE):
                    self._fill(STRANGERS)
                self.rows[row][contender.name] = await measured(row, each, self._get)
            self.waits[contender.name] = contender.waits
            self.loads[contender.name] = await loads_of_a_herd(contender) if self._all else None

    def _fill(self, strangers: int) -> None:
        self._raw.flushall()
        self._raw.set("raw", Codec().encode(VALUE))
        if strangers:
            self._raw.mset({f"stranger:{number}": 1 for number in range(strangers)})

    def _get(self) -> Any:
        return self._raw.get("raw")


def _has_one(row: str, parts: list[str]) -> bool:
    return not parts or any(part in row for part in parts)


def table(results: Results) -> list[str]:
    names = list(results.loads)
    lines = ["| round trips · x GET | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for row, cells in results.rows.items():
        lines.append(f"| {row} | " + " | ".join(shown(row, cells.get(name)) for name in names) + " |")
    if not any(results.loads.values()):
        return lines
    loads = ("-" if count is None else str(count) for count in results.loads.values())
    return [*lines, f"| loads for 50 misses at once in one process | {' | '.join(loads)} |"]


def shown(row: str, cell: Measured | None) -> str:
    if cell is None:
        return "-"
    if row in case.IN_THE_PROCESS:
        return f"{cell.round_trips} · {cell.ns:,.0f} ns"
    return f"{cell.round_trips} · {cell.times_get:.2f}"


def verdicts(results: Results) -> list[str]:
    fewer = [
        f"{row}: {peer} {its.round_trips}, {name} {mine.round_trips}"
        for row, name, mine, peer, its in rivals(results)
        if its.round_trips < mine.round_trips
    ]
    faster = [
        f"{row}: {peer} takes {time_of(row, its) / time_of(row, mine):.2f} of the time of {name}"
        for row, name, mine, peer, its in rivals(results)
        if time_of(row, its) < time_of(row, mine)
    ]
    return [
        f"- Fewer round trips than ours: {'; '.join(fewer) or 'nobody, in no row'}.",
        f"- Less time than ours: {'; '.join(faster) or 'nobody, in no row'}.",
    ]


def time_of(row: str, cell: Measured) -> float:
    """What is shown, in nanoseconds or in GETs."""
    return cell.ns if row in case.IN_THE_PROCESS else cell.times_get


def rivals(results: Results) -> Iterator[tuple[str, str, Measured, str, Measured]]:
    """Row, one of ours, and a peer of its kind: asyncio caches are held to asyncio ones, blocking to blocking."""
    for row, cells in results.rows.items():
        for name, peer in product(OURS, [peer for peer in cells if peer not in OURS]):
            if name in cells and results.waits[peer] == results.waits[name]:
                yield row, name, cells[name], peer, cells[peer]


def versions(names: list[str]) -> str:
    every = dict.fromkeys([*names, "redis", "hiredis", "cachebox", "msgspec"])
    return ", ".join(f"{name} {found(name)}" for name in every)


def found(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


def get_us(results: Results) -> float:
    """The median of a row's GETs."""
    cell = next(cells["ours"] for cells in results.rows.values() if "ours" in cells)
    return cell.ns / cell.times_get / 1000


async def run(url: str, wanted: list[str], rows: list[str]) -> tuple[Results, list[str], list[str]]:
    results, seen, missing = Results(url, rows), [], []
    await results.add(ours(url))
    await results.add(ours(url, "asyncio"))
    for peer in PEERS:
        if wanted and peer.module not in wanted:
            continue
        try:
            await results.add(peer.entered(url))
            seen.append(peer.distribution)
        except ImportError as problem:
            missing.append(f"{peer.distribution}: {problem}")
    return results, seen, missing


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("peers", nargs="*")
    parser.add_argument("--row", action="append", default=[])
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # the peers' own
    server = servers.redis("embedded")
    try:
        results, seen, missing = asyncio.run(run(server.url, options.peers, options.row))
        print(f"{versions(seen)}; {server.version}; Python {platform.python_version()}.")
        print(f"A GET of 2 kB took {get_us(results):.0f} us.\n")
        print("\n".join([*table(results), "", *verdicts(results)]))
        for line in missing:
            print(f"\nNot seen: {line}.")
    finally:
        server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
