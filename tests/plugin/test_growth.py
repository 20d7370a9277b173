"""`redisperf.growth`, `redisperf.worst_case` and `redis_perf.growth_strategy` in a test of the user's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest

Run: TypeAlias = Callable[..., pytest.RunResult]

ROOMS = """
    import asyncio

    import pytest


    class Rooms:
        def __init__(self, redis):
            self.redis = redis

        def add(self, number):
            have = self.redis.llen("rooms")
            self.redis.rpush("rooms", *range(have, have + number))

        def in_a_loop(self):
            for room in self.redis.lrange("rooms", 0, -1):
                self.redis.get(b"unread:" + room)

        def at_once(self):
            self.redis.mget([b"unread:" + room for room in self.redis.lrange("rooms", 0, -1)])


    @pytest.fixture
    def rooms(redisperf_redis):
        redisperf_redis.ping()
        return Rooms(redisperf_redis)
"""


def test_a_loop_grows_and_one_command_does_not(run: Run) -> None:
    result = run(
        ROOMS
        + """
    def test_at_once(redisperf, rooms):
        redisperf.growth(rooms.at_once, populate=rooms.add).assert_constant()

    def test_in_a_loop(redisperf, rooms):
        redisperf.growth(rooms.in_a_loop, populate=rooms.add, sizes=(1, 10)).assert_constant()
    """
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "E*round trips: 2, 11 at sizes 1, 10: linear, 1 more for each item; expected the same at each size",
            "E*   1  10   <- size",
            "E*   1  10   GET unread:{}    test_a_loop_grows_and_one_command_does_not.py:* in in_a_loop",
            "E*   1   1   LRANGE rooms    *in in_a_loop",
            "E*at size 10: 10 x GET unread:{}: one MGET, or a pipeline, would be 1 round trip (saves 9)",
        ]
    )


def test_a_populate_that_writes_the_same_key_again_tests_nothing_and_says_so(run: Run) -> None:
    result = run(
        """
    def test_same_key(redisperf, redisperf_redis):
        redis = redisperf_redis
        redisperf.growth(lambda: redis.get("room"), populate=lambda number: redis.set("room", "here")).assert_constant()
    """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["E*growth: populate only read, or wrote again what it had written, in Redis or Postgres*"]
    )


def test_async_code_is_measured_in_its_own_loop(run: Run) -> None:
    result = run(
        """
    import asyncio

    def test_gathered(redisperf, redisperf_async_redis):
        redis = redisperf_async_redis

        async def add(number):
            await redis.incrby("rooms", number)

        async def one_after_another():
            for room in range(int(await redis.get("rooms"))):
                await redis.get(f"unread:{room}")

        async def check():
            measured = await redisperf.async_growth(one_after_another, populate=add, sizes=(1, 10))
            measured.assert_at_most_linear(per_item=1)
            assert measured.of().counts == (2, 11)

        asyncio.run(check())
    """
    )
    result.assert_outcomes(passed=1)


def test_the_worst_contents_are_found_and_shown(run: Run) -> None:
    result = run(
        """
    from hypothesis import strategies as st

    def test_saves_in_one_trip(redisperf, redisperf_redis):
        redisperf_redis.ping()

        def save(users):
            redisperf_redis.incr("saves")
            for user in users:
                if user > 50:
                    redisperf_redis.set(f"user:{user}", 1)

        contents = st.lists(st.integers(0, 99), max_size=5)
        worst = redisperf.worst_case(save, contents, max_examples=200)
        assert worst.cost == 6
        worst.assert_at_most(1)
    """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*round trips: at most 1, spent 6 on [[]*[]]", "E*5  SET user:{}*", "*1 failed*"])


GROWN = """
    from hypothesis import given, settings, strategies as st
    from redis_perf import growth_strategy

    @given(users=growth_strategy(st.integers(0, 99), sizes=(1, 5)))
    def test_saves_in_one_trip(redisperf, redisperf_redis, users):
        redisperf_redis.ping()
        with redisperf.budget(redis=4):
            redisperf_redis.incr("saves")
            for user in users:
                if user > 50:
                    redisperf_redis.set(f"user:{user}", 1)
"""


PROFILE = ("-p", "hypothesispytest", "--hypothesis-profile=redisperf", "--hypothesis-seed=1")


def test_with_the_profile_the_search_climbs_to_sizes_and_contents_that_break_a_budget(run: Run) -> None:
    result = run(GROWN, *PROFILE, subprocess=True)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*redis round trips*4*5*", "*users=[[]*51, 51, 51, 51[]]*"])


def test_what_several_blocks_of_one_example_cost_is_told_once(run: Run) -> None:
    result = run(
        """
    from hypothesis import given, strategies as st

    @given(st.integers(0, 3))
    def test_blocks(redisperf, redisperf_redis, number):
        for _ in range(2):
            with redisperf.budget(redis=3, allow_nothing=True):
                for _ in range(number):
                    redisperf_redis.get("key")
    """,
        *PROFILE,
        "--hypothesis-show-statistics",
        subprocess=True,
    )
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*Highest target score:*3*redisperf round trips*"])


def test_the_fixture_has_the_strategy_for_worst_case(run: Run) -> None:
    result = run(
        """
    from hypothesis import strategies as st

    def test_saves(redisperf, redisperf_redis):
        def save(users):
            redisperf_redis.incr("saves")
            for user in users:
                redisperf_redis.set(f"user:{user}", 1)

        worst = redisperf.worst_case(save, redisperf.growth_strategy(st.integers(), sizes=(0, 7)))
        assert worst.cost == 8
    """
    )
    result.assert_outcomes(passed=1)
