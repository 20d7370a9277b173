"""What `benchmarks/caching.py` measures: rows, and the calls by which a cache does what a row says."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from itertools import count
from typing import Any, NamedTuple

TTL_SECONDS = 600
TIMEOUT_SECONDS = 5
MANY = 50
SWEPT, STRANGERS = 1000, 4000

L1_HIT = "L1 hit"
CALLED_HIT = "L1 hit, through a decorator"
NAMED_HIT = "... called with keywords"
METHOD_HIT = "... of a method"
IN_THE_PROCESS = (L1_HIT, CALLED_HIT, NAMED_HIT, METHOD_HIT)
"""So short that they are measured by the thousand, in nanoseconds."""
HIT = "L2 hit"
LOADED_HIT = "L2 hit, through get-or-load"
MISS = "miss: look, load, store"
SHARED_MISS = "miss with single-flight across processes"
SET = "set"
SET_TOLD = "set, other processes' L1 told"
DELETE = "delete"
DELETE_TOLD = "delete, other processes' L1 told"
TAGS = "invalidate a tag of 100 values"
GENERATION = "invalidate a pattern, by generation"
SCAN = "delete a pattern: 1,000 of 5,000 keys"
AT_ONCE = "the same in one step, the server blocked"
GET_MANY = "get 50 at once"
SET_MANY = "set 50 at once"
KNOWN_TEXTS = "embeddings of 50 texts, all known"
NEW_TEXTS = "embeddings of 50 texts, all new: look, store"
COMMIT = "a commit: forget 50 files with their directories"
ROWS = (
    *IN_THE_PROCESS,
    HIT,
    LOADED_HIT,
    MISS,
    SHARED_MISS,
    SET,
    SET_TOLD,
    DELETE,
    DELETE_TOLD,
    TAGS,
    GENERATION,
    SCAN,
    AT_ONCE,
    GET_MANY,
    SET_MANY,
    KNOWN_TEXTS,
    NEW_TEXTS,
    COMMIT,
)


class Case(NamedTuple):
    """A call, plain or a coroutine function, and what must go before each of them, which is not measured."""

    call: Callable[[], Any]
    prepare: Callable[[], Any] | None = None


class Contender(NamedTuple):
    """`herd` gets a key, or loads it with the loader: one of many callers at once. None where that is no feature."""

    name: str
    cases: dict[str, Case]
    waits: bool = False
    """Whether its calls are coroutines."""
    herd: Callable[[str, Callable[[], Any]], Any] | None = None


def persona(number: int) -> dict[str, Any]:
    """A value of the kind that a persona pipeline caches: about 2 kB of JSON."""
    prompt = f"{number}: " + "You are Lua, a calm companion who listens first. " * 40
    return {"name": "Lua", "resonance": "calm-medium-learning", "prompt": prompt, "traits": ["calm", "curious"]}


VALUE = persona(0)
VALUES = {f"many:{number}": persona(number) for number in range(MANY)}
SWEEP = {f"sweep:{number}": number for number in range(SWEPT)}
EMBEDDING = [0.25] * 384
TEXTS = [f"text {number}" for number in range(MANY)]
FILES = [f"src/{number % 5}/{number}.py" for number in range(MANY)]
CHANGES = [{"path": path, "content": "pass\n"} for path in FILES]
TAGGED = {f"tagged:{number}": number for number in range(100)}


def fresh(prefix: str) -> Callable[[], str]:
    """Keys that were never used."""
    numbers = count()
    return lambda: f"{prefix}:{next(numbers)}"


_new_text = fresh("new text")


def new_texts() -> list[str]:
    return [_new_text() for _ in range(MANY)]


async def finished(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


def load() -> dict[str, Any]:
    """What a miss loads; the work itself takes no time here."""
    return VALUE


async def load_async() -> dict[str, Any]:
    return VALUE
