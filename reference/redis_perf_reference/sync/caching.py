# Generated from ../asyncio/caching.py by tools/sync_twins.py: change that file, then run the tool.
"""Caching: decorators that keep what functions return, and that forget it when other functions have changed something.

    caching = Caching(cache)                                    # a TwoTierCache, or a CacheAside

    @caching.cached(ttl=600, key_prefix="persona")              # keys are persona:lua:name, see CallKeys
    async def persona(persona_id: str, field: str) -> str: ...

    @caching.invalidate_cache("persona:{persona_id}:*")         # after it has returned, not when it has raised
    async def update_persona(persona_id: str, name: str) -> None: ...

    await persona("lua", "name")                                # round trips as with get_with_cache
    await persona.uncached("lua", "name")                       # calls the function, and leaves the cache alone
    await persona.refresh("lua", "name")                        # loads anew, for everybody
    await persona.invalidate("lua", "name")                     # forgets this call
    persona.key("lua", "name")                                  # "persona:lua:name"

Two functions with the same `key_prefix` share their values. In a method `self` is no part of the key, unless it has a
`cache_key`: instances that differ in what the method returns need one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial, update_wrapper, wraps
from types import MethodType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, cast

from redis_perf_reference.cache_input import checked_ttl
from redis_perf_reference.cache_outcome import Told
from redis_perf_reference.call_keys import CallKeys
from redis_perf_reference.call_template import CallTemplate
from redis_perf_reference.lifetime import WithTtl
from redis_perf_reference.missing import MISSING
from redis_perf_reference.observer import SILENT
from redis_perf_reference.outcomes import CacheUnavailable
from redis_perf_reference.pattern import Pattern, escape
from redis_perf_reference.sync.background import Function, check_function, finished
from redis_perf_reference.sync.cache_aside import CacheAside
from redis_perf_reference.sync.two_tier_cache import TwoTierCache

P = ParamSpec("P")
S = TypeVar("S")
T = TypeVar("T")

logger = logging.getLogger("redis_perf_reference")


class CachedFunction(Generic[P, T]):
    """A function whose results are cached. A call raises what the function, CallKeys and get_with_cache raise."""

    __slots__ = ("__dict__", "__weakref__", "_bound")  # a method shares all but `_bound` with its function

    def __init__(
        self,
        function: Function[P, T],
        cache: TwoTierCache | CacheAside,
        keys: CallKeys,
        tags: Iterable[CallTemplate],
        options: dict[str, Any],
    ) -> None:
        update_wrapper(cast("Any", self), function)
        self._bound: tuple[Any, ...] = ()
        self._function, self._cache, self._keys, self._tags, self._options = function, cache, keys, tags, options
        self._get: Callable[..., Any] = cache.get_with_cache
        self._held: Callable[[str, Any], Any] = _nothing_held
        self._hit: Callable[[], None] | None = None
        if isinstance(cache, TwoTierCache):
            self._held = cache.local.held
            self._hit = None if cache.observer is SILENT else cache.observer.hit
        self._known, self._identity = keys.known, keys.identity

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        whole = self._bound + args
        try:
            key = self._known(self._identity(*whole, **kwargs))  # `remembered`: the short way, which nearly all go
        except TypeError:
            key = None
        value: Any = MISSING if key is None else self._held(key, MISSING)
        if value is MISSING:
            fetch = partial(self._function, *whole, **kwargs)
            options = {"tags": self._tags_of(whole, kwargs), **self._options} if self._tags else self._options
            value = self._get(key or self._keys.of(whole, kwargs), fetch, **options)
        elif self._hit is not None:
            self._hit()
        result: T = value
        return result

    @property
    def uncached(self) -> Function[P, T]:
        """The function itself, or its method."""
        return MethodType(self._function, *self._bound) if self._bound else self._function

    def key(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """Under which key the result of this call is kept."""
        return self._keys.of(self._bound + args, kwargs)

    def refresh(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls the function anew, also if somebody else is calling it already, and keeps what it returns; not if the
        old result is not known to be gone. If the function fails the old result is gone, and nothing is kept."""
        if (self.invalidate(*args, **kwargs)).everywhere:
            return self(*args, **kwargs)
        loaded: Any = self._function(*(self._bound + args), **kwargs)
        result: T = loaded.value if isinstance(loaded, WithTtl) else loaded
        return result

    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> Told:
        """Forgets the result of this call. Where Redis is away that is logged, and told."""
        told = self._deleted(self.key(*args, **kwargs))
        if not told.everywhere:
            logger.warning("a result of %s is not invalidated everywhere: %s", self._keys.name, told.skipped)
        return told

    def _deleted(self, key: str) -> Told:
        if isinstance(self._cache, TwoTierCache):
            return self._cache.delete(key)
        try:
            return Told(self._cache.delete(key))
        except CacheUnavailable as error:
            return Told(skipped=str(error))

    def _tags_of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[str]:
        arguments = self._keys.arguments(args, kwargs)
        return [tag.filled(arguments) for tag in self._tags]

    def __get__(
        self: CachedFunction[Concatenate[S, P], T], instance: S | None, owner: type | None = None
    ) -> CachedFunction[P, T]:
        """The method of this instance."""
        if instance is None:
            return cast("CachedFunction[P, T]", self)
        method: CachedFunction[P, T] = object.__new__(CachedFunction)
        method.__dict__ = self.__dict__
        method._bound = (instance,)
        return method


class Caching:
    """Its decorators take async functions in `asyncio`, where the cache is asyncio's, and others in `sync`."""

    def __init__(self, cache: TwoTierCache | CacheAside) -> None:
        self._cache = cache

    def cached(
        self,
        ttl: float | None = None,
        key_prefix: str | None = None,
        *,
        negative_ttl: float | None = None,
        tags: Iterable[str] = (),
        ignore: Iterable[str] = (),
        key: Callable[..., object] | None = None,
    ) -> Callable[[Function[P, T]], CachedFunction[P, T]]:
        """Keeps results for `ttl` seconds (None: `negative_ttl`), under the function's name if no `key_prefix` is said.

        `tags` may name arguments, as patterns do. `ignore` and `key` are as in CallKeys. Raises InvalidTtl, InvalidKey,
        TypeError, and ValueError for what does not fit the function.
        """
        options = {
            name: checked_ttl(value, name)
            for name, value in (("ttl", ttl), ("negative_ttl", negative_ttl))
            if value is not None
        }

        def decorate(function: Function[P, T]) -> CachedFunction[P, T]:
            check_function(function)
            keys = CallKeys(function, key_prefix, ignore, key)
            templates = [CallTemplate(tag, keys.names, f"tags[{at}]") for at, tag in enumerate(tags)]
            if templates and isinstance(self._cache, CacheAside):
                raise TypeError("tags: a CacheAside has none, a TwoTierCache has")
            return CachedFunction(function, self._cache, keys, templates, options)

        return decorate

    def invalidate_cache(self, *patterns: str) -> Callable[[Function[P, T]], Function[P, T]]:
        """Deletes what matches, here, in Redis and in the other processes, each time the function has returned.

        Patterns name arguments in braces, see CallTemplate; what is filled in matches only itself. One that ends in
        `:*` is one round trip however much it matches, one without wildcards deletes that key. If Redis is away that
        is logged, and the function's result returned: it has done its work. So what can be refused is refused before
        the function is called, and a caller who is cancelled after it takes no invalidation along.
        """
        cache = self._cache
        if isinstance(cache, CacheAside):
            raise TypeError("invalidate_cache: a CacheAside has no patterns, a TwoTierCache has")

        if not patterns:
            raise TypeError("invalidate_cache: name at least one pattern")

        def decorate(function: Function[P, T]) -> Function[P, T]:
            check_function(function)
            keys = CallKeys(function)
            templates = [CallTemplate(text, keys.names, f"patterns[{at}]") for at, text in enumerate(patterns)]
            for template in templates:
                Pattern(template.example())

            def invalidated(wanted: list[str]) -> None:
                for pattern in wanted:
                    told = cache.invalidate(pattern)
                    if not told.everywhere:
                        logger.warning("after %s not all is invalidated: %s", keys.name, told.skipped)

            @wraps(function)
            def changing(*args: P.args, **kwargs: P.kwargs) -> T:
                arguments = keys.arguments(args, kwargs)
                wanted = [Pattern(template.filled(arguments, escape)).text for template in templates]
                result = function(*args, **kwargs)
                finished(partial(invalidated, wanted))
                return result

            return changing

        return decorate


def _nothing_held(key: str, default: Any) -> Any:
    return default
