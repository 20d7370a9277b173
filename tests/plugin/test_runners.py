"""Budgets and measuring under unittest, pytest-asyncio, anyio, xdist, and with plugins switched off."""

import pytest


def test_unittest_tests_have_budgets(run):
    result = run(
        """
        import unittest
        import fakeredis
        import pytest

        class Test(unittest.TestCase):
            @pytest.mark.redisperf(redis=1)
            def test_within(self):
                fakeredis.FakeRedis().get("a")

            @pytest.mark.redisperf(redis=1)
            def test_over(self):
                client = fakeredis.FakeRedis()
                client.get("a")
                client.get("b")

            @pytest.mark.redisperf(redis=0)
            def test_its_own_failure(self):
                fakeredis.FakeRedis().get("a")
                self.fail("mine")
        """
    )
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines_random(["redis round trips: budget 1, spent 2*", "E *AssertionError: mine"])
    result.stdout.no_fnmatch_line("*budget 0*")


ASYNC = """
    import asyncio
    import pytest

    {mark}

    async def test_within(redisperf, redisperf_async_redis):
        async with redisperf.budget(redis=redisperf.Spend(round_trips=10, depth=10)) as spent:
            await asyncio.gather(*(redisperf_async_redis.get(f"user:{{number}}") for number in range(3)))
        assert spent.redis.round_trips == 3

    @pytest.mark.redisperf(redis=1)
    async def test_over(redisperf_async_redis):
        await redisperf_async_redis.get("a")
        await redisperf_async_redis.get("b")

    @pytest.mark.redisperf(redis=0)
    async def test_its_own_failure(redisperf_async_redis):
        await redisperf_async_redis.get("a")
        raise LookupError("mine")
"""


def held_to_budgets(result):
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["redis round trips: budget 1, spent 2*", "E *LookupError: mine"])
    result.stdout.no_fnmatch_line("*budget 0*")


@pytest.mark.parametrize("servers", ["fake", "embedded"])
def test_async_tests_under_pytest_asyncio_have_budgets(run, pytester, servers):
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")
    source = ASYNC.format(mark="pytestmark = pytest.mark.asyncio")
    held_to_budgets(run(source, "-p", "pytest_asyncio.plugin", "-Werror", f"--redisperf-redis={servers}"))


@pytest.mark.parametrize("servers", ["fake", "embedded"])
def test_async_tests_under_anyio_have_budgets(run, servers):
    source = ASYNC.format(
        mark="""pytestmark = pytest.mark.anyio

    @pytest.fixture
    def anyio_backend():
        return "asyncio"
    """
    )
    held_to_budgets(run(source, "-p", "anyio", "-Werror", f"--redisperf-redis={servers}"))


def test_workers_of_xdist_check_budgets(run):
    result = run(
        """
        import pytest

        @pytest.mark.redisperf(redis=1)
        @pytest.mark.parametrize("gets", [1, 2])
        def test_it(gets, redisperf_redis):
            for _ in range(gets):
                redisperf_redis.get("a")
        """,
        "-p",
        "xdist",
        "-n2",
        subprocess=True,
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["redis round trips: budget 1, spent 2*"])


def test_a_bad_marker_is_named_under_xdist(run):
    source = "import pytest\n\n@pytest.mark.redisperf(redis='1')\ndef test_it(): pass"
    result = run(source, "-p", "xdist", "-n1", subprocess=True)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*::test_it: @pytest.mark.redisperf: Budget(redis='1'): expected *"])


def test_switched_off_there_is_no_option_and_no_fixture(run, pytester):
    pytester.makepyfile("def test_it(redisperf): pass")
    result = pytester.runpytest_inprocess("-p", "no:redisperf")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["E *fixture 'redisperf' not found"])


def test_a_session_inside_a_test_is_metered_apart_from_the_one_around_it(run):
    result = run(
        """
        pytest_plugins = ["pytester"]

        def test_outer(pytester, redisperf_redis):
            redisperf_redis.get("a")
            pytester.makepyfile("def test_inner(redisperf_redis): redisperf_redis.get('a')")
            inner = pytester.runpytest_inprocess("-p", "redisperf", "--redisperf", "--redisperf-redis=fake")
            inner.stdout.fnmatch_lines(["      1         0           1      1       2 ms  *::test_inner"])
            redisperf_redis.get("b")
        """,
        "--redisperf",
        subprocess=True,
    )
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*::test_outer"])
