"""The file of a baseline: JSON that people read, review and merge. One number or shape on each line, all keys sorted.

{
 "format": "redisperf-baseline",
 "tests": {
  "tests/test_shop.py::test_buy": {
   "redis": {
    "operations": 2,
    "round_trips": 2,
    "shapes": {
     "GET a": 1,
     "SET a": 1
    }
   }
  }
 },
 "version": 1
}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from redis_perf.analysis.baseline import Entry, Spent
from redis_perf.trace import STORES

FORMAT: Final = "redisperf-baseline"
VERSION: Final = 1
AGAIN: Final = "delete it and write it anew with --redisperf-update-baseline=yes"

Baseline: TypeAlias = "dict[str, Entry]"
"""By node id."""


class BaselineFileError(Exception):
    """A baseline that cannot be read: what was expected, what was found, what to do; one line."""


def dumps(baseline: Mapping[str, Entry]) -> str:
    """The whole file."""
    tests = {nodeid: plain(entry) for nodeid, entry in baseline.items()}
    whole = {"format": FORMAT, "version": VERSION, "tests": tests}
    return json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def loads(text: str) -> Baseline:
    """The entries in it. Raises BaselineFileError."""
    try:
        whole = json.loads(text)
    except ValueError as error:
        conflict = " (a merge left its conflict marks in it)" if "<<<<<<<" in text else ""
        raise BaselineFileError(f"not JSON{conflict}: {error}; mend it, or {AGAIN}") from None
    if not isinstance(whole, dict) or whole.get("format") != FORMAT:
        raise BaselineFileError(f'not a baseline: expected "format": "{FORMAT}" in it; {AGAIN}')
    version = whole.get("version")
    if isinstance(version, int) and version > VERSION:
        raise BaselineFileError(f"version {version}, expected {VERSION}: upgrade pytest-redisperf, or {AGAIN}")
    if version != VERSION or not isinstance(whole.get("tests"), dict):
        raise BaselineFileError(f'expected "version": {VERSION} and "tests" in it, found {sorted(whole)}; {AGAIN}')
    return {nodeid: whole_entry(nodeid, entry) for nodeid, entry in whole["tests"].items()}


def plain(entry: Entry) -> dict[str, Any]:
    """An entry as the file has it."""
    return {
        store: {"round_trips": spent.round_trips, "operations": spent.operations, "shapes": dict(spent.shapes)}
        for store, spent in entry.items()
    }


def whole_entry(nodeid: str, entry: Any) -> Entry:
    """The entry the file has for this test. Raises BaselineFileError."""
    if not isinstance(entry, dict) or not set(entry) <= set(STORES):
        raise BaselineFileError(f"{nodeid}: expected some of {', '.join(STORES)}, found {entry!r:.80}; {AGAIN}")
    return {store: _spent(f"{nodeid}: {store}", entry[store]) for store in STORES if store in entry}


def _spent(where: str, values: Any) -> Spent:
    if not isinstance(values, dict) or not isinstance(values.get("shapes"), dict):
        raise BaselineFileError(f"{where}: expected round_trips, operations and shapes, found {values!r:.80}; {AGAIN}")
    numbers = [values.get("round_trips"), values.get("operations"), *values["shapes"].values()]
    if not all(isinstance(number, int) and not isinstance(number, bool) and number >= 0 for number in numbers):
        raise BaselineFileError(f"{where}: expected whole numbers from 0, found {values!r:.80}; {AGAIN}")
    return Spent(round_trips=values["round_trips"], operations=values["operations"], shapes=values["shapes"])
