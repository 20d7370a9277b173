"""Both twins of the embedding cache behind one face, and an encoder whose vectors follow from the text alone."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from hashlib import shake_256
from typing import Any

import numpy as np
import pytest
import redis

import redis_perf_reference.asyncio.client as asyncio_clients
import redis_perf_reference.asyncio.embedding_cache as asyncio_twin
import redis_perf_reference.sync.client as sync_clients
import redis_perf_reference.sync.embedding_cache as sync_twin
from redis_perf_reference.resources import script

DIMENSION = 16


class Encoder:
    """Counts what it was asked to encode, and returns what `changed` makes of the vectors."""

    def __init__(self, dimension: int = DIMENSION, salt: str = "") -> None:
        self.dimension, self.salt = dimension, salt
        self.calls: list[list[str]] = []
        self.changed: Callable[[Any], Any] = lambda vectors: vectors

    def __call__(self, texts: list[str]) -> Any:
        self.calls.append(list(texts))
        return self.changed(self.vectors(texts))

    def vectors(self, texts: list[str]) -> Any:
        """What it returns for these, without counting."""
        return np.stack([self._vector(text) for text in texts])

    def _vector(self, text: str) -> Any:
        raw = shake_256((self.salt + text).encode()).digest(2 * self.dimension)
        return np.frombuffer(raw, "<i2").astype(np.float32) / 2**15


class Counting:
    """An observer that counts."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *arguments: self.counts.update([" ".join([name, *map(str, arguments[:1])])])


class Face:
    """Calls a cache's methods to the end."""

    def __init__(self, world: World, target: Any) -> None:
        self._world, self.target = world, target

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *args, **options: self._world.run(getattr(self.target, name), *args, **options)


class World:
    """One twin on a real server. `redis` looks at it from outside."""

    def __init__(self, twin: str, redis_url: str, stack: ExitStack) -> None:
        self.twin, self.redis_url, self._stack = twin, redis_url, stack
        self.redis = stack.enter_context(redis.Redis.from_url(redis_url))
        self._runner: Any = stack.enter_context(asyncio.Runner()) if twin == "asyncio" else None

    def client(self, redis_url: str = "", **options: Any) -> Any:
        """A RedisClient that waits long, as the machine may be busy."""
        module = sync_clients if self._runner is None else asyncio_clients
        client = module.RedisClient(redis_url or self.redis_url, timeout_seconds=5, **options)
        self._stack.callback(lambda: self.run(client.close))
        return client

    def cache(self, encode: Any, redis_url: str = "", client: Any = None, **options: Any) -> Any:
        """An EmbeddingCache on a connection that is open."""
        options = {"model": "toy", "revision": "1", "dimension": DIMENSION, **options}
        module = sync_twin if self._runner is None else asyncio_twin
        client = client or self.client(redis_url)
        self.run(client.ping)
        return Face(self, module.EmbeddingCache(client, encode, **options))

    def clear_elsewhere(self) -> int:
        """As another process does, while an encoder is at work here."""
        client = sync_clients.RedisClient(self.redis_url, timeout_seconds=5)
        self._stack.callback(client.close)
        return sync_twin.EmbeddingCache(client, Encoder(), model="toy", revision="1", dimension=16).clear_cache()

    def load_scripts(self) -> None:
        for name in ("embedding_fill", "cache_sweep"):
            self.redis.script_load(script(name).text)

    def run(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Calls a function of this twin to its end."""
        return function(*args, **options) if self._runner is None else self._runner.run(function(*args, **options))

    def together(self, calls: list[Callable[[], Any]]) -> list[Any]:
        """Calls all of them at once, in threads or tasks, and returns what they return or raise."""
        if self._runner is not None:

            async def gathered() -> list[Any]:
                return await asyncio.gather(*(call() for call in calls), return_exceptions=True)

            return list(self._runner.run(gathered()))
        with ThreadPoolExecutor(len(calls)) as threads:
            futures = [threads.submit(call) for call in calls]
        return [future.exception() or future.result() for future in futures]

    def records(self) -> list[bytes]:
        """The keys of all vectors."""
        return sorted(self.redis.scan_iter("{*}:v:*"))


@pytest.fixture
def encoder() -> Encoder:
    return Encoder()


@pytest.fixture
def new_encoder() -> type[Encoder]:
    return Encoder


@pytest.fixture
def counting() -> Counting:
    return Counting()


@pytest.fixture(params=["sync", "asyncio"])
def world(request: pytest.FixtureRequest, redis_url: str) -> Iterator[World]:
    with ExitStack() as stack:
        world = World(request.param, redis_url, stack)
        world.load_scripts()
        yield world


FUNCTIONS = [
    {"name": "parse", "body": "return json.loads(text)"},
    {"name": "render", "body": "return json.dumps(value)"},
    {"name": "connect", "body": "return Redis.from_url(url)"},
]


@pytest.fixture
def functions() -> list[dict[str, Any]]:
    return [dict(function) for function in FUNCTIONS]
