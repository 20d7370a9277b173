"""The settings of measuring and of servers, each declared once. Those of reports are in `report_options`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

import pytest

from pytest_redisperf.option import Option, Values, flag, value
from pytest_redisperf.report_options import Reports

if TYPE_CHECKING:
    from redis_perf.analysis.ignoring import Ignore

Limits: TypeAlias = "Mapping[str, int | str]"
"""By name; `latency` alone is text."""

ISOLATIONS = ("database", "reset", "rollback")


def _server(text: str) -> str:
    kind, colon, asked = text.partition(":")
    if text in ("auto", "fake") or "://" in text:
        return text
    if kind in ("embedded", "system", "docker") and (asked or not colon):
        if kind == "docker" or not colon or re.fullmatch(r"\d+(\.\d+)*", asked):
            return text
        raise ValueError(f"{asked!r} is not a version; give {kind}, or {kind}:16 for a version of its own")
    raise ValueError(
        f"{text!r} is not a way to get a server; give auto, embedded, system, docker, fake or the URL of one"
    )


def _tests(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text):
        return int(text)
    raise ValueError(f"{text!r} is not a number of tests; give a whole number from 1")


def _networks(text: str) -> tuple[int, ...]:
    from redis_perf.network import round_trip_ns

    return tuple(round_trip_ns(part.strip()) for part in text.split(","))


def _isolation(text: str) -> str:
    if text in ISOLATIONS:
        return text
    raise ValueError(f"{text!r} is no isolation; give {', '.join(ISOLATIONS[:-1])} or {ISOLATIONS[-1]}")


def _tap(text: str) -> str:
    if text in ("clients", "proxy"):
        return text
    raise ValueError(f"{text!r} is not a place to count at; give clients or proxy")


def latency_ns(text: str) -> int:
    """Raises ValueError unless it is a time with a unit."""
    from redis_perf.network import duration_ns

    return duration_ns(str(text))


def _repetitions(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) > 1:
        return int(text)
    raise ValueError(f"{text!r} is no number of repetitions; give a whole number from 2")


def _ignores(text: str) -> tuple[Ignore, ...]:
    from redis_perf.analysis.ignoring import Ignore

    return tuple(Ignore.parse(line) for line in text.splitlines() if line.strip())


def _n_plus_one(text: str) -> str:
    if text in ("report", "fail", "off"):
        return text
    raise ValueError(f"{text!r} is not what can be done about N+1; give report, fail or off")


def _limits(text: str) -> Limits:
    limits: dict[str, int | str] = {}
    for part in text.split():
        name, _, number = part.partition("=")
        if name in limits:
            raise ValueError(f"{part!r} is a second limit for {name}; give one for each name")
        if name == "latency":
            limits[name] = number
            continue
        if not name.isidentifier() or not (number.isascii() and number.isdigit()):
            raise ValueError(f"{part!r} is not a limit; give name=number, such as redis=10 postgres=5")
        limits[name] = int(number)
    return limits


OPTIONS = (
    Option("redisperf", flag, False, "meter the Redis and Postgres round trips of every test", kind="bool"),
    Option(
        "redisperf_redis",
        _server,
        "embedded",
        "where the redis fixtures get their server: embedded, system (either with :VERSION), docker, docker:IMAGE, "
        "fake, a redis:// URL, or auto for the first there is (default: embedded)",
        metavar="SERVER",
        environment="REDISPERF_REDIS",
    ),
    Option(
        "redisperf_postgres",
        _server,
        "embedded",
        "where the postgres fixtures get theirs: embedded, system (either with :VERSION), docker, docker:IMAGE, "
        "fake, a postgresql:// URL, or auto for the first there is (default: embedded)",
        metavar="SERVER",
        environment="REDISPERF_POSTGRES",
    ),
    Option("redisperf_top", _tests, 10, "how many tests the summary shows (default: 10)", kind="int", metavar="N"),
    Option(
        "redisperf_network",
        _networks,
        (2_000_000, 30_000_000),
        "round-trip times to show the cost at, or names of networks: 2ms,cross-region (default: 2ms,30ms)",
        metavar="TIMES",
    ),
    Option(
        "redisperf_budget",
        _limits,
        None,
        "budget of every test without a marker of its own, such as 'redis=10 postgres=5'",
        metavar="LIMITS",
    ),
    Option(
        "redisperf_tap",
        _tap,
        "clients",
        "where round trips are counted: clients, in this process, or proxy, on the wire of the fixtures' servers "
        "(default: clients)",
        metavar="TAP",
    ),
    Option(
        "redisperf_latency",
        latency_ns,
        None,
        "added to every reply of the fixtures' servers, such as 1ms (default: none; 1ms with --redisperf-tap=proxy)",
        metavar="TIME",
    ),
    Option(
        "redisperf_strict_servers",
        flag,
        None,
        "auto may not fall back to docker or fake (default: where CI is set)",
        kind="bool",
    ),
    Option(
        "redisperf_allow_external_writes",
        flag,
        False,
        "in servers given by URL, databases and key prefixes of our own may be made, and are removed again",
        kind="bool",
    ),
    Option(
        "redisperf_isolation",
        _isolation,
        "database",
        "what each test finds in Postgres: database, a new one; reset, the same one cleaned of what was written; "
        "rollback, the same with one connection that is rolled back (default: database)",
        metavar="MODE",
    ),
    Option(
        "redisperf_schema",
        str,
        None,
        "what every test's database has in it: SQL files, alembic.ini, module:function or Django settings module",
        metavar="STEPS",
    ),
    Option(
        "redisperf_keep_failed",
        flag,
        False,
        "keep the database of a failed test for an hour and print its DSN",
        kind="bool",
    ),
    Option(
        "redisperf_n_plus_one",
        _n_plus_one,
        None,
        "suspected N+1: report shows them in the summary, fail fails the test, off does not look (default: report, "
        "where the run is metered)",
        metavar="report|fail|off",
    ),
    Option(
        "redisperf_n_plus_one_threshold",
        _repetitions,
        3,
        "how often the same place must ask the same, one after another, to be suspected (default: 3)",
        kind="int",
        metavar="N",
    ),
    Option(
        "redisperf_ignore",
        _ignores,
        (),
        "suspected N+1 that are meant to be so, one on each line: SHAPE, SHAPE @ SITE or @ SITE, with wildcards, such "
        "as 'GET user:* @ app/legacy.py'",
        kind="linelist",
        metavar="PATTERNS",
    ),
)

MARKERS = (
    "redisperf_ignore(shape='GET user:*', site='app/legacy.py'): suspected N+1 of this test that are meant to be so",
    "redisperf(redis=..., postgres=..., depth=..., latency='5ms@2ms', <server name>=...): fail the test if its call "
    "phase spends more round trips; a number is the most allowed, see also redis_perf.Spend, exactly, at_most, between",
    "redisperf_isolation(postgres='database'|'reset'|'rollback', redis='reset'|'fresh'): how clean this test's "
    "servers are made",
)


class Settings(Values):
    """The options as values; field for field the OPTIONS table."""

    metered: bool
    redis: str
    postgres: str
    top: int
    networks_ns: tuple[int, ...]
    budget: Limits | None
    tap: str
    latency_ns: int | None
    strict_servers: bool | None
    external_writes: bool
    isolation: str
    schema: str | None
    keep_failed: bool
    n_plus_one: str | None
    n_plus_one_threshold: int
    ignore: tuple[Ignore, ...]

    @classmethod
    def of(cls, config: pytest.Config) -> Settings:
        """Read once in each run. A report that is asked for is one of what was metered."""
        known = config.stash.get(_SETTINGS, None)
        if known is None:
            known = cls(value(config, option) for option in OPTIONS)
            known.metered |= Reports.of(config).asked or known.n_plus_one in ("report", "fail")
            config.stash[_SETTINGS] = known
        return known

    @property
    def strict(self) -> bool:
        """Whether `auto` may not fall back: as it was said, else where CI is set, for nobody reads the header there."""
        if self.strict_servers is not None:
            return self.strict_servers
        return os.environ.get("CI", "").lower() not in ("", "0", "false")

    @property
    def slow(self) -> bool:
        """Replies take longer though they are counted in the clients: fixtures' URLs lead through the proxy."""
        return self.tap == "clients" and self.latency_ns is not None


_SETTINGS = pytest.StashKey[Settings]()
