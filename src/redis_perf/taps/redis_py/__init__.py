"""The taps of redis-py and of valkey-py, which has the same inside: blocking, asyncio, cluster, sentinel, fakeredis.

Both listen where a connection keeps its transport, so whatever sends (pools, pipelines, pub/sub, health checks,
subclasses) is seen, handshake included. Connections that were open before are met when they are next used.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec

from redis_perf.recorder import Recorder
from redis_perf.taps import of_client
from redis_perf.trace import Tapped


@of_client("redis", "redis", "redis")
@contextmanager
def redis_py(recorder: Recorder) -> Iterator[None]:
    """Listen to redis-py while the block runs. Raises TapError when its inside is not what was tested."""
    with _tap(recorder, "redis-py", "redis", "Redis", tested="5.0.8 to 8.1"):
        yield


@of_client("valkey", "redis", "valkey")
@contextmanager
def valkey_py(recorder: Recorder) -> Iterator[None]:
    """Listen to valkey-py while the block runs. Raises TapError when its inside is not what was tested."""
    with _tap(recorder, "valkey-py", "valkey", "Valkey", tested="6.2"):
        yield


@contextmanager
def _tap(recorder: Recorder, name: str, package: str, client: str, *, tested: str) -> Iterator[None]:
    if find_spec(package) is None:
        recorder.tapped(Tapped(name, "redis", problem="not installed"))
        yield
        return
    from redis_perf.taps.redis_py.patching import Library, Patches

    version = str(import_module(package).__version__)
    patches = Patches(recorder, Library(name, package, client, tested), version)
    try:
        patches.put()
        recorder.tapped(Tapped(name, "redis", version=version))
        yield
    finally:
        patches.take_back()
