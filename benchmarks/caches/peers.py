"""The caches of others, each in a file of its own, which imports it."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from importlib import import_module
from typing import NamedTuple

from caches.case import Contender


class Peer(NamedTuple):
    module: str
    function: str
    distribution: str

    def entered(self, url: str) -> AbstractAsyncContextManager[Contender]:
        """Raises ImportError where it is not installed."""
        entered: AbstractAsyncContextManager[Contender] = getattr(
            import_module(f"caches.{self.module}"), self.function
        )(url)
        return entered


PEERS = (
    Peer("cashews", "cashews", "cashews"),
    Peer("aiocache", "aiocache", "aiocache"),
    Peer("dogpile", "dogpile", "dogpile.cache"),
    Peer("django", "django", "django-redis"),
    Peer("redisvl", "redisvl", "redisvl"),
    Peer("requests_cache", "requests_cache", "requests-cache"),
    Peer("cachetools", "cachetools", "cachetools"),
    Peer("cachetools", "decorated", "cachetools"),
    Peer("redis_py", "redis_py", "redis"),
)
