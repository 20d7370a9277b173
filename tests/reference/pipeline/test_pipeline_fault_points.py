"""The pipeline broken at every one of its round trips, before and after the server executed it.

By a reset of the connection, and by the death of the server, which keeps an append-only log here. Whatever happens, the
request is answered, others get a whole answer, the old or a new one, and nothing in Redis lives for ever.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from redis_perf.proxy import Proxy, fault_points

CALM = "calm-medium-learning"
LEASE_SECONDS = 0.03  # of the call that is broken; those who ask later have time
LONGEST_MS = 2 * (3600 + 10) * 1000  # of a stamp: twice value and lease


@pytest.fixture(scope="module")
def redis_server(lasting_redis_server: Any) -> Any:
    return lasting_redis_server


class Broken:
    """One call on an input and a process of its own, started anew for each point."""

    def __init__(self, twin: Any, new_steps: Any, proxy: Proxy, cached: str, call: Callable[..., Any]) -> None:
        self._twin, self._new_steps, self._proxy = twin, new_steps, proxy
        self._cached, self._call = cached, call
        self._inputs = (f"Hello {number}" for number in itertools.count())
        self.start()

    def start(self) -> None:
        self._input = next(self._inputs)
        if self._cached:
            self._twin.finish(self._sound(self._cached).process(self._input, CALM))
        cache = self._twin.cache(self._proxy.url("redis"), lease_seconds=LEASE_SECONDS)
        self._pipeline = self._twin.pipeline(self._steps("new"), cache)
        self._twin.redis.script_flush()  # so that sending a script is among the round trips

    def __call__(self) -> Any:
        return self._twin.finish(self._call(self._pipeline, self._input))

    def found_elsewhere(self) -> str:
        """What somebody else gets now, and whoever asks after that from Redis."""
        answers = [self._twin.finish(self._sound("newer").process(self._input, CALM)) for _ in range(2)]
        assert answers[1].cached
        assert answers[0].response == answers[1].response
        for key in self._twin.redis.scan_iter():
            assert -1 != self._twin.redis.pttl(key) <= LONGEST_MS  # -2: a lease that is over
        return str(answers[0].response)

    def _sound(self, response: str) -> Any:
        return self._twin.pipeline(self._steps(response))

    def _steps(self, response: str) -> Any:
        steps = self._new_steps()
        steps.respond = lambda prompt, user_input: response
        return steps


@pytest.mark.parametrize(
    ("cached", "scripts", "answers", "left"),
    [("", 2, {"new"}, {"new", "newer"}), ("old", 1, {"old", "new"}, {"old"})],
    ids=["new", "known"],
)
def test_a_request_broken_anywhere_is_answered_and_leaves_a_whole_answer(
    twin: Any, steps: Any, proxy: Proxy, breaking: Any, cached: str, scripts: int, answers: set[str], left: set[str]
) -> None:
    broken = Broken(twin, type(steps), proxy, cached, lambda pipeline, said: pipeline.process(said, CALM))
    seen = 0
    for point in fault_points(proxy, broken, breaking=breaking):
        broken.start()
        with point:
            assert broken().response in answers, str(point)
        assert broken.found_elsewhere() in left, str(point)
        seen += 1
    assert seen == 4 * scripts  # EVALSHA and EVAL, each before and after


def test_an_invalidation_broken_anywhere_is_done_or_said_not_to_be_known(
    twin: Any, steps: Any, proxy: Proxy, breaking: Any
) -> None:
    broken = Broken(twin, type(steps), proxy, "old", lambda pipeline, _: pipeline.invalidate_cache_pattern("persona:*"))
    seen = 0
    for point in fault_points(proxy, broken, breaking=breaking):
        broken.start()
        with point:
            told = broken()
        assert not told.everywhere, str(point)
        assert broken.found_elsewhere() in {"old", "newer"}, str(point)
        seen += 1
    assert seen == 4
