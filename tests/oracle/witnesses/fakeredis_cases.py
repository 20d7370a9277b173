"""fakeredis has no wire, so nobody can watch it: it must cost what the same calls cost on a real server.

Its TCP server has one, and is a server like any other to the client, the witness and the proxy.
"""

from __future__ import annotations

import asyncio
from typing import Any

import redis_asyncio_cases
import redis_cases
from case import TWIN, At, case

FAKE = "fakeredis"


@case("redis", FAKE, "8 steps", witness=TWIN, twin="redis_eight_steps", needs=("fakeredis",))
def fake_eight_steps(at: At) -> None:
    import fakeredis

    redis_cases.eight_steps(fakeredis.FakeRedis())


@case("redis", f"{FAKE} asyncio", "8 steps", witness=TWIN, twin="asyncio_eight_steps", needs=("fakeredis",))
def fake_asyncio_eight_steps(at: At) -> None:
    async def main() -> None:
        import fakeredis

        await redis_asyncio_cases.used(fakeredis.FakeAsyncRedis(), redis_asyncio_cases.eight_steps)

    asyncio.run(main())


# --- its TCP server

SERVED = ("fakeredis", "fake server")


def served(at: At, **options: Any) -> Any:
    import redis

    return redis.Redis(host="127.0.0.1", port=at.fake_port, **options)


@case("redis", "redis-py on fakeredis's TCP server", "10 GET", needs=SERVED, counters=False)
def fake_server_get(at: At) -> None:
    redis_cases.get(served(at), 10)


@case("redis", "redis-py on fakeredis's TCP server", "10 GET, RESP2", needs=SERVED, counters=False)
def fake_server_get_resp2(at: At) -> None:
    redis_cases.get(served(at, protocol=2), 10)


@case("redis", "redis-py on fakeredis's TCP server", "pipeline of 100", needs=SERVED, counters=False)
def fake_server_pipeline(at: At) -> None:
    with served(at) as redis, redis.pipeline(transaction=False) as pipe:
        for number in range(100):
            pipe.set(f"key:{number}", number)
        pipe.execute()


@case("redis", "redis-py on fakeredis's TCP server", "MULTI of 3", needs=SERVED, counters=False)
def fake_server_multi(at: At) -> None:
    with served(at) as redis, redis.pipeline(transaction=True) as pipe:
        pipe.set("a", 1).incr("a").get("a").execute()
