"""Cache-aside as it was found, ported faithfully to be measured. Do not copy it: these are its bugs.

`if cached:` takes an empty value for none, so it is fetched for ever. Nobody tells the second caller that the first is
fetching already: 50 concurrent misses are 50 fetches. Whoever fetched before a write or a delete puts the old value
back after it. All that was written together expires together. Bytes that cannot be decoded raise, for as long as they
are there. An error of Redis loses the answer: before the fetch, and after it together with the value that was fetched.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any


async def get_with_cache(redis: Any, key: str, fetch_fn: Callable[[], Awaitable[Any]], ttl: int = 3600) -> Any:
    """`redis` is a client of redis-py for asyncio."""
    cached = await redis.get(key)
    if cached:
        return json.loads(cached)
    data = await fetch_fn()
    await redis.set(key, json.dumps(data), ex=ttl)  # SETEX in the original, which redis-py has deprecated
    return data
