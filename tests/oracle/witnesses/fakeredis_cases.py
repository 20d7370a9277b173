"""fakeredis has no wire, so nobody can watch it: it must cost what the same calls cost on a real server."""

from __future__ import annotations

import asyncio

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
