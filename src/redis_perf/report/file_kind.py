"""The first line of a file of JSON lines: of which kind it is, and of which version."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from redis_perf.report.attributes import Attributes, WrongAttribute, shown
from redis_perf.report.records import Record

Head = TypeVar("Head")


class TraceFileError(Exception):
    """A trace file that cannot be read: which line, what was expected, what was found, what to do; one line."""


@dataclass(frozen=True, slots=True)
class FileKind:
    """`name` is `trace`, say; `record` says how to get one."""

    name: str
    version: int
    record: str

    @property
    def format(self) -> str:
        return f"redisperf-{self.name}"

    @property
    def header(self) -> Record:
        """What the first line begins with."""
        return {"redisperf.format": self.format, "redisperf.format.version": self.version}

    def read(self, line: str, head: Callable[[Attributes], Head]) -> Head:
        """What `head` makes of the first line. Raises TraceFileError for another kind, another version or damage."""
        try:
            attributes = self._attributes(line)
            version = attributes.number("redisperf.format.version")
            if version == self.version:
                return head(attributes)
        except WrongAttribute as wrong:
            raise damaged(1, wrong) from wrong
        raise TraceFileError(
            f"line 1: {self.name} file version {version}, expected {self.version}: "
            "upgrade pytest-redisperf, or record it again with this one"
        )

    def _attributes(self, line: str) -> Attributes:
        if not line:
            raise TraceFileError(f"empty, expected a redisperf {self.name}; {self.record}")
        try:
            attributes = Attributes.of(line)
        except WrongAttribute:
            attributes = Attributes({})
        if not attributes.values and line.startswith('{"redisperf.format"'):
            raise TraceFileError(f"line 1: cut off within the header, so there is nothing to read; {self.record}")
        if attributes.values.get("redisperf.format") != self.format:
            found = shown(line.rstrip("\n"))
            raise TraceFileError(
                f"line 1: not a redisperf {self.name}: expected its header, found {found}; {self.record}"
            )
        return attributes


def damaged(number: int, problem: object) -> TraceFileError:
    """The error for what is wrong in this line."""
    return TraceFileError(f"line {number}: {problem}; the file is damaged: record it again")
