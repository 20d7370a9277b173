"""Gathers what the naive and the reference working memory were seen to spend, and prints them side by side."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from redis_perf import Trace

NETWORK_MS = 2
HEADINGS = ("", "redis", "postgres", "statements", f"at {NETWORK_MS} ms")


@dataclass(frozen=True)
class Row:
    """One call of the working memory: what it cost before, after, and at the least; `floor` is (redis, postgres)."""

    call: str
    before: Trace
    after: Trace
    floor: tuple[int, int]

    def cells(self) -> tuple[str, ...]:
        before, after = self.before, self.after
        return (
            self.call,
            f"{before.redis.round_trips} -> {after.redis.round_trips} (floor {self.floor[0]})",
            f"{before.postgres.round_trips} -> {after.postgres.round_trips} (floor {self.floor[1]})",
            f"{before.postgres.statements} -> {after.postgres.statements}",
            f"{before.depth * NETWORK_MS} -> {after.depth * NETWORK_MS} ms",
        )


class Proof:
    """The rows of this run."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def add(self, call: str, before: Trace, after: Trace, floor: tuple[int, int]) -> None:
        self.rows.append(Row(call, before, after, floor))

    def table(self) -> Iterator[str]:
        cells = [HEADINGS, *(row.cells() for row in sorted(self.rows, key=lambda row: row.call))]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        first, *rest = (_line(line, widths) for line in cells)
        yield first
        yield _line(["-" * width for width in widths], widths)
        yield from rest


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return f"| {' | '.join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))} |"


PROOF = pytest.StashKey[Proof]()


@pytest.fixture
def proof(pytestconfig: pytest.Config) -> Proof:
    return pytestconfig.stash.setdefault(PROOF, Proof())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    gathered = config.stash.get(PROOF, Proof())
    if not gathered.rows:
        return
    table = list(gathered.table())
    terminalreporter.write_sep("=", "working memory: round trips on the wire, naive -> reference")
    for line in table:
        terminalreporter.write_line(line)
    if "REDISPERF_PROOF_FILE" in os.environ:
        Path(os.environ["REDISPERF_PROOF_FILE"]).write_text("\n".join(table) + "\n")
