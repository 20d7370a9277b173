"""The `redisperf` fixture: budgets on blocks, recordings, the trace so far."""


def test_a_block_over_its_budget_fails_at_the_users_line(run, push_module):
    result = run(
        """
        from memory import push

        def test_push(redisperf, redisperf_redis):
            with redisperf.budget(redis=1):
                push(redisperf_redis)
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "    def test_push(redisperf, redisperf_redis):",
            ">       with redisperf.budget(redis=1):",
            "E       redis round trips: budget 1, spent 3*",
            "*RPUSH*working:{}:turns*memory.py:2 in push",
            "*test_*.py:4: BudgetExceeded",
        ]
    )
    result.stdout.no_fnmatch_line("*spending.py*")
    result.stdout.no_fnmatch_line("*budget.py*")


def test_a_block_within_its_budget_gives_what_was_spent(run, push_module):
    run(
        """
        from memory import push
        from redis_perf import Trace

        def test_push(redisperf, redisperf_redis):
            budget = redisperf.Spend(round_trips=redisperf.exactly(3), commands=redisperf.between(1, 3))
            with redisperf.budget(redis=budget, postgres=0) as spent:
                push(redisperf_redis)
            assert spent.redis.round_trips == 3
            assert spent.redis.shapes == ["RPUSH working:{}:turns", "LTRIM working:{}:turns", "EXPIRE working:{}:turns"]
            assert spent.postgres.round_trips == 0
            assert isinstance(spent.trace, Trace)
        """
    ).assert_outcomes(passed=1)


def test_an_exception_in_the_block_is_not_masked(run):
    result = run(
        """
        def test_it(redisperf, redisperf_redis):
            with redisperf.budget(redis=0):
                redisperf_redis.get("a")
                raise LookupError("mine")
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *LookupError: mine"])
    result.stdout.no_fnmatch_line("*BudgetExceeded*")


def test_a_bad_budget_fails_at_the_users_line(run):
    result = run("def test_it(redisperf):\n    redisperf.budget(redis='one')")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([">   *redisperf.budget(redis='one')", "E *TypeError: Budget(redis='one'): expected *"])
    result.stdout.no_fnmatch_line("*spending.py*")


def test_a_block_that_sends_nothing_fails(run):
    result = run("def test_it(redisperf):\n    with redisperf.budget(redis=1):\n        pass")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *redis: nothing measured: a budget was set, but no redis traffic was seen, *"])


def test_budgets_nest_and_each_sees_its_own(run):
    run(
        """
        def test_it(redisperf, redisperf_redis):
            with redisperf.budget(redis=redisperf.exactly(3)):
                redisperf_redis.get("a")
                with redisperf.budget(redis=redisperf.exactly(1)):
                    redisperf_redis.get("b")
                redisperf_redis.get("c")
        """
    ).assert_outcomes(passed=1)


def test_one_budget_object_serves_many_blocks(run):
    run(
        """
        def test_it(redisperf, redisperf_redis):
            once = redisperf.budget(redis=1)
            for _ in range(3):
                with once:
                    redisperf_redis.get("a")
        """
    ).assert_outcomes(passed=1)


def test_the_trace_is_the_call_phase_so_far(run):
    run(
        """
        import pytest

        @pytest.fixture
        def filled(redisperf, redisperf_redis):
            redisperf_redis.set("a", 1)
            assert redisperf.trace.redis.shapes == ["SET a"]
            yield redisperf_redis
            redisperf_redis.delete("a")
            assert redisperf.trace.redis.shapes == ["GET a"]

        def test_it(redisperf, filled):
            assert redisperf.trace.redis.round_trips == 0
            filled.get("a")
            assert redisperf.trace.redis.shapes == ["GET a"]
        """
    ).assert_outcomes(passed=1)


def test_record_holds_nothing_to_anything(run):
    run(
        """
        def test_it(redisperf, redisperf_redis):
            with redisperf.record() as trace:
                redisperf_redis.get("a")
            redisperf_redis.get("b")
            assert trace.redis.shapes == ["GET a"]
        """
    ).assert_outcomes(passed=1)


def test_the_fixture_works_when_asked_for_inside_a_test(run):
    run(
        """
        def test_it(request, redisperf_redis):
            redisperf_redis.get("a")
            redisperf = request.getfixturevalue("redisperf")
            redisperf_redis.get("b")
            assert redisperf.trace.redis.shapes == ["GET b"]
        """
    ).assert_outcomes(passed=1)


def test_the_fixtures_type_can_be_named(run):
    run(
        """
        from pytest_redisperf import RedisPerf

        def test_it(redisperf: RedisPerf):
            assert isinstance(redisperf, RedisPerf)
        """
    ).assert_outcomes(passed=1)
