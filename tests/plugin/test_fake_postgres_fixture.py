"""The stand-in Postgres as the fixtures give it."""

SUITE = """
    def test_scripted(redisperf_fake_postgres, redisperf_postgres, redisperf):
        redisperf_fake_postgres.on("select a from t").rows([(5,)], ["a"])
        with redisperf.budget(postgres=2):
            assert redisperf_postgres.execute("select a from t").fetchone() == (5,)

    def test_empty_again(redisperf_fake_postgres, redisperf_async_postgres):
        import asyncio

        async def use():
            async with redisperf_async_postgres() as connection:
                return await (await connection.execute("select a from t")).fetchone()

        assert redisperf_fake_postgres.asked == []
        assert asyncio.run(use()) is None
"""


def test_the_fixtures_of_postgres_are_on_the_fake_whose_script_is_empty_in_each_test(run):
    run(SUITE, "--redisperf-postgres=fake", "-p", "no:randomly").assert_outcomes(passed=2)


def test_scripting_another_server_is_refused_before_it_is_started(run):
    result = run(SUITE, "--redisperf-postgres=postgresql://ada:secret@db.example/app", "-k", "scripted")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["redisperf: this test scripts the stand-in for Postgres, *; this run has postgresql"])
