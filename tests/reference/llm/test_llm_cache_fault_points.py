"""Each call of the cache broken at every one of its round trips, before and after the server executed it.

Whatever happens the caller gets the model's answer, and what is left in Redis is that answer, an older whole one or
nothing, and expires.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from redis_perf.proxy import Proxy, fault_points
from redis_perf.proxy.faults import Reset, Restart, When
from redis_perf_reference.llm import LLMRequest


class Broken:
    """One call on a request and a client of its own each time, started anew for each point."""

    def __init__(self, twin: Any, build: Any, model: Any, proxy: Proxy, old: str | None, options: Any) -> None:
        self._twin, self._build, self._model, self._proxy = twin, build, model, proxy
        self._old, self._options, self._numbers = old, options, itertools.count()
        self.start()

    def start(self) -> None:
        self._request = LLMRequest(f"model {next(self._numbers)}", ({"role": "user", "content": "Hello"},))
        if self._old is not None:
            self._model.content = self._old
            self._twin.face(self._build()).complete(self._request)
        client = self._twin.client(self._proxy.url("redis"), probe_seconds=60)
        self._cache = self._twin.face(self._build(client, lease_seconds=0.1))
        self._model.content = "new"
        self._twin.redis.script_flush()  # so that sending a script is among the round trips

    def __call__(self) -> str:
        return self._cache.complete(self._request, **self._options).content

    def checked(self, wanted: set[str]) -> None:
        """Somebody else asks now, and must be answered soon with one of these."""
        self._model.content = "newer"
        assert self._twin.face(self._build()).complete(self._request).content in wanted
        for key in self._twin.redis.scan_iter("llm:*"):
            assert -1 != self._twin.redis.pttl(key) <= 86_400_000  # -2: a lease that is over


@pytest.mark.parametrize("kind", ["reset", "restart"])
@pytest.mark.parametrize(
    ("old", "options", "scripts", "answers", "left"),
    [
        (None, {}, 2, {"new"}, {"new", "newer"}),
        ("old", {}, 1, {"old", "new"}, {"old", "newer"}),
        ("old", {"refresh": True}, 1, {"new"}, {"old", "new", "newer"}),
    ],
    ids=["miss", "hit", "refresh"],
)
def test_a_call_broken_anywhere_answers_and_leaves_the_old_or_the_new(
    twin: Any,
    build: Any,
    model: Any,
    proxy: Proxy,
    redis_server: Any,
    kind: str,
    old: str | None,
    options: Any,
    scripts: int,
    answers: set[str],
    left: set[str],
) -> None:
    def breaking(server: str, side: Any, on: When) -> Any:
        return Reset(side, on) if kind == "reset" else Restart(redis_server, side, on)

    broken, seen = Broken(twin, build, model, proxy, old, options), 0
    for point in fault_points(proxy, broken, breaking=breaking):
        broken.start()
        with point:
            assert broken() in answers, str(point)
        broken.checked(left)
        seen += 1
    assert seen == 4 * scripts  # EVALSHA and EVAL, each before and after
