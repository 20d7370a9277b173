"""CacheKeys: where a cache's records, the stamps of their groups and its messages lie in Redis.

Every record belongs to groups: its tags, the beginnings of its key at each `:`, and the whole cache. A group has a
stamp; a record names the stamps it was written under. Removing the stamp invalidates the group in one round trip,
however many records it has. A lost stamp (evicted, expired) makes misses, never old values: stamps are not used twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import quote

from redis_perf_reference.cache_input import checked_namespace
from redis_perf_reference.pattern import Pattern, PatternRefused, escape

GROUP_LEVELS = 8  # beginnings of a key that can be invalidated by stamp
REMEMBERED_CHARACTERS = 256
EVERYTHING = "*"  # the group of the whole cache; quoted names never look like it


class CacheKeys:
    """The namespace is the hash tag: a cache lies in one Cluster slot, so that scripts may name several of its keys.

    For more than one slot, make several caches.
    """

    def __init__(self, namespace: str) -> None:
        base = f"{{{checked_namespace(namespace)}}}"
        self.records, self.stamps, self.channel = f"{base}:v:", f"{base}:g:", f"{base}:told"

    def record(self, key: str) -> str:
        return self.records + key

    def every(self, glob: str) -> str:
        """The glob of all records whose keys match this one."""
        return escape(self.records) + glob

    def whole(self) -> str:
        return self.stamps + EVERYTHING

    def tag(self, tag: str) -> str:
        return self.stamps + _tag(tag)

    def beginning(self, pattern: Pattern) -> str:
        """The stamp of all keys that match a pattern like `persona:lua:*`. Raises PatternRefused for others."""
        if pattern.prefix is None or pattern.prefix.count(":") > GROUP_LEVELS:
            raise PatternRefused(
                f"pattern {pattern.text!r} has no stamp: those that end in :* and hold no other * or ?, at most "
                f"{GROUP_LEVELS} levels deep, have; delete_pattern takes any"
            )
        return self.stamps + quote(pattern.prefix, safe=":")


def groups_of(key: str, tags: Iterable[str]) -> str:
    """The names of all groups of a record, between spaces."""
    start = key[: key.rfind(":") + 1]
    beginnings = _beginnings(start) if len(start) <= REMEMBERED_CHARACTERS else _beginnings.__wrapped__(start)
    return " ".join([beginnings, *map(_tag, tags)]) if tags else beginnings


@lru_cache(1024)
def _beginnings(start: str) -> str:
    """Remembered, as many keys begin alike."""
    names, end = [EVERYTHING], start.find(":")
    while end != -1 and len(names) <= GROUP_LEVELS:
        names.append(quote(start[: end + 1], safe=":"))
        end = start.find(":", end + 1)
    return " ".join(names)


def _tag(tag: str) -> str:
    return "#" + quote(tag, safe="")
