"""A repository on a server of its own, and caches of it."""

from __future__ import annotations

import functools
import importlib.util
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from redis_perf_reference.naive.bitbucket_api import NaiveBitbucketAPI
from redis_perf_reference.sync.bitbucket_api import BitbucketAPI
from redis_perf_reference.sync.bitbucket_cache import BitbucketCache
from redis_perf_reference.sync.client import RedisClient

_spec = importlib.util.spec_from_file_location("bitbucket_server", Path(__file__).with_name("server.py"))
assert _spec is not None
assert _spec.loader is not None
_server = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_server)


@pytest.fixture
def bitbucket() -> Iterator[Any]:
    """On its branch master: a.py, src/b.py, src/deep/c.bin and empty.txt."""
    pytest.importorskip("httpx", reason="the package httpx is not installed")
    with _server.Bitbucket() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        server.push("master", {"a.py": b"a", "src/b.py": b"b", "src/deep/c.bin": b"\xff\x00", "empty.txt": b""})
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def build(twin: Any, bitbucket: Any) -> Callable[..., Any]:
    """Makes a BitbucketCache that is connected to both, on a server that knows the scripts."""
    twin.load_scripts("lease", "fill", "release", "delete", "cache_sweep")

    @functools.cache  # httpx reads all certificates for each
    def api(token: str) -> Any:
        return twin.closing(twin.module("bitbucket_api").BitbucketAPI(bitbucket.url, "ada", token, "acme", "sdb"))

    def built(client: Any = None, token: str = "secret", **options: Any) -> Any:
        client = client or twin.client()
        twin.run(client.ping)
        return twin.module("bitbucket_cache").BitbucketCache(client, api(token), **{"jitter": 0, **options})

    return built


@pytest.fixture
def cache(twin: Any, build: Callable[..., Any]) -> Any:
    """One, to be called without await."""
    return twin.face(build())


@pytest.fixture
def elsewhere(redis_url: str, bitbucket: Any) -> Iterator[Any]:
    """A sync BitbucketCache in any case, as if in another process; it may be called while the server answers."""
    client = RedisClient(redis_url, timeout_seconds=5)
    api = BitbucketAPI(bitbucket.url, "ada", "secret", "acme", "sdb")
    yield BitbucketCache(client, api)
    api.close()
    client.close()


@pytest.fixture
def naive(redis_url: str, bitbucket: Any) -> Iterator[NaiveBitbucketAPI]:
    import httpx

    with (
        redis.Redis.from_url(redis_url, decode_responses=True) as client,
        httpx.Client(auth=("ada", "secret")) as http,
    ):
        client.ping()
        yield NaiveBitbucketAPI(client, http, bitbucket.url, "acme", "sdb")
