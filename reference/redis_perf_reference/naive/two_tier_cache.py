"""The two-tier cache as it was found, rebuilt from its description to be measured. Do not copy it: these are its bugs.

Costs: a write is 1 round trip, a pattern deletion one KEYS, which stops the server for everyone, and one DEL for each
key that matched; looking at the numbers is 2 INFOs.

Wrong answers: a copy made here lives 300 seconds, whatever Redis had left; another process's write or deletion never
reaches it. A cached None, "" or 0 is a miss. What is handed out here is the stored object, and from Redis a JSON copy
of it: tuples become lists, whole-number keys text, and datetimes cannot be stored in Redis at all (nobody is told).
`clear` is FLUSHDB, which takes everyone's keys with it. A deleted key counts twice when it was in both tiers.

Faults: whether Redis is there is decided once, at the start. An undecodable value raises, each time. Nothing locks the
OrderedDict. Entries that expired keep their room until they are asked for. Rates are text, and the misses of the first
tier are not the look-ups in the second, as pattern deletions count there too.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from fnmatch import fnmatch
from time import time
from typing import Any

import redis


class NaiveLocalCache:
    def __init__(self, max_size: int = 1000) -> None:
        self._max_size = max_size
        self._entries: OrderedDict[str, tuple[Any, float]] = OrderedDict()
        self._hits = self._misses = 0

    def get(self, key: str) -> Any:
        if key not in self._entries:
            self._misses += 1
            return None
        value, deadline = self._entries[key]
        if time() > deadline:
            del self._entries[key]
            self._misses += 1
            return None
        self._entries.move_to_end(key)
        self._hits += 1
        return value

    def set(self, key: str, value: Any, ttl: int = 300) -> None:
        self._entries[key] = (value, time() + ttl)
        self._entries.move_to_end(key)
        if len(self._entries) > self._max_size:
            self._entries.popitem(last=False)

    def delete(self, key: str) -> bool:
        return self._entries.pop(key, None) is not None

    def delete_pattern(self, pattern: str) -> int:
        return sum(self.delete(key) for key in [key for key in self._entries if fnmatch(key, pattern)])

    def clear(self) -> None:
        self._entries.clear()

    def get_stats(self) -> dict[str, Any]:
        asked = self._hits + self._misses
        return {
            "cache_type": "L1 Local",
            "size": len(self._entries),
            "max_size": self._max_size,
            "hits": self._hits,
            "misses": self._misses,
            "hit_rate": f"{100 * self._hits / asked if asked else 0:.1f}%",
        }


class NaiveRedisCache:
    """`redis` is a redis-py client."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis
        try:
            redis.ping()
            self.available = True
        except Exception:
            self.available = False

    def get(self, key: str) -> Any:
        if not self.available:
            return None
        cached = self._redis.get(key)
        return json.loads(cached) if cached else None

    def set(self, key: str, value: Any, ttl: int = 300) -> bool:
        if not self.available:
            return False
        try:
            self._redis.set(key, json.dumps(value), ex=ttl)
        except (redis.RedisError, TypeError):
            return False
        return True

    def delete(self, key: str) -> bool:
        return bool(self._redis.delete(key)) if self.available else False

    def delete_pattern(self, pattern: str) -> int:
        return sum(self.delete(key) for key in self._redis.keys(pattern)) if self.available else 0

    def clear(self) -> None:
        if self.available:
            self._redis.flushdb()

    def get_stats(self) -> dict[str, Any]:
        if not self.available:
            return {"cache_type": "L2 Redis", "available": False}
        return {
            "cache_type": "L2 Redis",
            "available": True,
            "memory_used": self._redis.info("memory")["used_memory_human"],
            "connected_clients": self._redis.info("clients")["connected_clients"],
        }


class NaiveTwoTierCache:
    def __init__(self, redis: Any, max_size: int = 1000) -> None:
        self.l1 = NaiveLocalCache(max_size)
        self.l2 = NaiveRedisCache(redis)

    def get(self, key: str) -> Any:
        value = self.l1.get(key)
        if value:
            return value
        value = self.l2.get(key)
        if value:
            self.l1.set(key, value)
        return value

    def set(self, key: str, value: Any, ttl: int = 300) -> None:
        self.l1.set(key, value, ttl)
        self.l2.set(key, value, ttl)

    def delete(self, key: str) -> bool:
        here, there = self.l1.delete(key), self.l2.delete(key)
        return here or there

    def delete_pattern(self, pattern: str) -> int:
        return self.l1.delete_pattern(pattern) + self.l2.delete_pattern(pattern)

    def clear(self) -> None:
        self.l1.clear()
        self.l2.clear()

    def get_stats(self) -> dict[str, Any]:
        return {"l1": self.l1.get_stats(), "l2": self.l2.get_stats()}
