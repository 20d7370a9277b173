"""Two processes, each of either twin, three caches, and a Redis that refuses, loses replies or dies at any step.

What is read was written and not replaced since, or nothing; a step that was cut off leaves the old or the new. The
third process, which is this one, knows what may be read.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from redis_perf import ServerUnavailable, servers

AWAY = "away"
CACHES, KEYS = ["aside", "shared", "two"], ["a:1", "a:2", "b:1"]
PATIENCE_SECONDS = 30
LEASE_SECONDS = 1  # as caches_process.py has it
PAUSE = threading.Event()

processes = st.integers(0, 1)
keys = st.sampled_from(KEYS)
faults = st.sampled_from(["pass", "pass", "refuse", "lose_reply"])


class Process:
    def __init__(self, twin: str, url: str, stack: ExitStack) -> None:
        command = [sys.executable, str(Path(__file__).with_name("caches_process.py")), twin, url]
        self._process = stack.enter_context(
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
        assert self._process.stdin is not None
        stack.callback(self._process.stdin.close)  # it ends then

    def call(self, *words: Any) -> Any:
        self.begin(*words)
        return self.answer()

    def begin(self, *words: Any) -> None:
        assert self._process.stdin is not None
        print(json.dumps(words), file=self._process.stdin, flush=True)

    def answer(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


class World:
    """Both processes, the relay between them and the server, and a look from outside."""

    def __init__(self, twins: tuple[str, str], server: Any, relay: Any, stack: ExitStack) -> None:
        self.server, self.relay = server, relay
        self.both = [Process(twin, relay.address, stack) for twin in twins]
        self.outside = stack.enter_context(redis.Redis.from_url(server.url))

    def settle(self) -> None:
        """Until both listen and have heard everything said so far: a copy kept now is dropped by the other's delete."""
        self.relay.mode = "pass"
        eventually(lambda: all(process.call("listens") for process in self.both))
        for one, other in (self.both, self.both[::-1]):
            other.call("keep_token")
            eventually(lambda one=one: one.call("take_token"))
            eventually(lambda other=other: not other.call("has_token"))

    def blocked(self) -> bool:
        return bool(self.outside.info("clients")["blocked_clients"])

    def die(self) -> None:
        """The server, without having kept anything."""
        self.relay.mode = "refuse"
        self.server.kill()
        self.server.start()


def eventually(condition: Callable[[], Any]) -> None:
    until = monotonic() + PATIENCE_SECONDS
    while not condition():
        assert monotonic() < until, "did not happen"
        PAUSE.wait(0.001)


class Machine(RuleBasedStateMachine):
    """`possible` holds what may be read of each key: None is nothing."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.possible: dict[tuple[str, str], set[int | None]]
        self.last = 0

    @initialize()
    def begin(self) -> None:
        self.lose_everything()
        for process in self.world.both:
            process.call("forget")

    @rule(who=processes, key=keys, fault=faults)
    def read(self, who: int, key: str, fault: str) -> None:
        for cache in CACHES:
            possible, loads, began = self.possible[cache, key], self.next(), monotonic()
            value = self.call(fault, who, "read", cache, key, loads)
            late = monotonic() - began > LEASE_SECONDS  # whose lease is over fills nothing
            if cache == "aside" and value == loads:
                assert fault != "pass" or None in possible
                self.changed(fault != "pass" or late, cache, key, loads)
            else:
                assert value in possible or (fault != "pass" and value in (None, AWAY))

    @rule(who=processes, key=keys, fault=faults)
    def write(self, who: int, key: str, fault: str) -> None:
        value = self.next()
        for cache in CACHES:
            self.changed(self.call(fault, who, "write", cache, key, value) == AWAY, cache, key, value)

    @rule(who=processes, key=keys, fault=faults)
    def delete(self, who: int, key: str, fault: str) -> None:
        for cache in CACHES:
            self.changed(self.call(fault, who, "delete", cache, key) == AWAY, cache, key, None)

    @rule(who=processes, key=keys, fault=faults)
    def invalidate(self, who: int, key: str, fault: str) -> None:
        for cache in ("shared", "two"):
            cut_off = self.call(fault, who, "invalidate", cache, key) == AWAY
            for other in KEYS:
                if other[0] == key[0]:
                    self.changed(cut_off, cache, other, None)

    @rule(who=processes, key=keys, dies=st.booleans())
    def wait(self, who: int, key: str, dies: bool) -> None:
        """One process waits for what the other loads."""
        self.call("pass", who, "delete", "aside", key)
        loader, waiter = self.world.both[who], self.world.both[1 - who]
        loads, instead = self.next(), self.next()
        loader.begin("read_till", "away" if dies else "awaited", key, loads)
        eventually(lambda: self.world.outside.exists(f"aside:{key}"))
        waiter.begin("read", "aside", key, instead)
        if dies:
            eventually(self.world.blocked)
            self.lose_everything()
        assert loader.answer() == loads
        assert waiter.answer() in ({loads, instead} if dies else {loads})
        self.possible["aside", key] = {None, loads, instead} if dies else {loads}

    @rule()
    def lose_everything(self) -> None:
        self.world.die()
        self.possible = {(cache, key): {None} for cache in CACHES for key in KEYS}

    @rule()
    def lose_the_scripts(self) -> None:
        self.world.outside.script_flush()

    @invariant()
    def all_is_as_the_model_says(self) -> None:
        self.world.settle()
        for process in self.world.both:
            for cache, key, value in process.call("everything", KEYS):
                assert value in self.possible[cache, key], (cache, key)

    @invariant()
    def nothing_lives_for_ever(self) -> None:
        assert all(self.world.outside.pttl(key) != -1 for key in self.world.outside.scan_iter())

    def call(self, fault: str, who: int, *words: Any) -> Any:
        """With the fault, by a client that knows of none yet."""
        if fault != "pass":
            self.world.settle()
        self.world.relay.mode = fault
        return self.world.both[who].call(*words)

    def changed(self, cut_off: bool, cache: str, key: str, value: int | None) -> None:
        self.possible[cache, key] = self.possible[cache, key] | {value} if cut_off else {value}

    def next(self) -> int:
        self.last += 1
        return self.last


@pytest.fixture(scope="module")
def redis_server() -> Iterator[servers.RedisServer]:
    """Not the others', as it dies here."""
    try:
        server = servers.redis("embedded")
    except ServerUnavailable as unavailable:
        if os.environ.get("REDISPERF_REQUIRE_SERVERS") == "1":
            raise
        pytest.skip(str(unavailable))
    yield server
    server.stop()


@pytest.mark.parametrize("twins", [("sync", "sync"), ("asyncio", "asyncio"), ("sync", "asyncio")], ids="+".join)
def test_two_processes_answer_as_a_model_does(twins: tuple[str, str], redis_server: Any, redis_relay: Any) -> None:
    with ExitStack() as stack:
        world = World(twins, redis_server, redis_relay, stack)
        run_state_machine_as_test(
            lambda: Machine(world),
            settings=settings(
                max_examples=6,
                stateful_step_count=12,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow],
            ),
        )
