"""Which fixture spends what, beside `--setup-show` and in the summary."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest

Run: TypeAlias = Callable[..., pytest.RunResult]

SUITE = """
import fakeredis
import pytest

@pytest.fixture(scope="module")
def shop():
    with fakeredis.FakeRedis() as client:
        client.set("open", 1)
        yield client
        client.delete("open")

@pytest.fixture
def ada(shop):
    shop.set("ada", 1)
    shop.get("ada")
    return shop

@pytest.fixture
def bob(ada, request):
    ada.get("bob")
    request.getfixturevalue("inner")

@pytest.fixture
def inner(shop):
    yield shop.get("inner")
    shop.get("inner")

def test_first(bob): ...
def test_second(ada): ...
"""
SUMMARY = [
    "by fixture, connecting included:",
    "      4         0  shop (module), setup 1 time",
    "      4         0  ada (function), setup 2 times",
    "      1         0  bob (function), setup 1 time",
    "      1         0  inner (function), setup 1 time",
    "      1         0  inner (function), teardown 1 time",
    "      1         0  shop (module), teardown 1 time",
]


@pytest.mark.parametrize("workers", [(), ("-p", "xdist", "-n1")], ids=["alone", "xdist"])
def test_the_summary_adds_up_each_fixture_with_its_own_round_trips_only(run: Run, workers: tuple[str, ...]) -> None:
    lines = run(SUITE, "--redisperf", *workers).stdout.lines
    found = [line for line in lines if (line.startswith("  ") and "(function)" in line) or "(module)" in line]
    assert sorted(found) == sorted(SUMMARY[1:])


def test_setup_show_has_the_numbers_beside_each_fixture(run: Run) -> None:
    run(SUITE, "--redisperf", "--setup-show").stdout.fnmatch_lines(
        [
            "*SETUP    M shop (4 redis round trips in this setup)",
            "*SETUP    F ada (fixtures used: shop) (2 redis round trips in this setup)",
            "*TEARDOWN F inner (1 redis round trip in this teardown)",
            "*TEARDOWN M shop (1 redis round trip in this teardown)",
        ]
    )


def test_fixtures_that_send_nothing_are_not_mentioned(run: Run) -> None:
    result = run(
        """
        def test_it(redisperf_redis, tmp_path):
            redisperf_redis.get("a")
        """,
        "--redisperf",
    )
    result.stdout.no_fnmatch_line("by fixture*")
