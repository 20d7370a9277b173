"""Every setting of the plugin, declared once, and how it is read.

The command line wins over the environment (servers only), which wins over the ini file, which wins over the
default. A bad value is a `pytest.UsageError` that names where it was written. Nothing is imported here but pytest:
this runs in every pytest run, used or not.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NamedTuple, TypeAlias

import pytest

Limits: TypeAlias = "Mapping[str, int]"

UNITS_NS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}


def _flag(text: str) -> bool:
    return text == "True"


def _server(text: str) -> str:
    if text in ("fake", "embedded", "system") or "://" in text:
        return text
    raise ValueError(f"{text!r} is not a way to get a server; give fake, embedded, system or the URL of one")


def _tests(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text):
        return int(text)
    raise ValueError(f"{text!r} is not a number of tests; give a whole number from 1")


def _networks(text: str) -> tuple[int, ...]:
    return tuple(_duration_ns(part.strip(), "round-trip times", "2ms,30ms") for part in text.split(","))


def _tap(text: str) -> str:
    if text in ("clients", "proxy"):
        return text
    raise ValueError(f"{text!r} is not a place to count at; give clients or proxy")


def latency_ns(text: str) -> int:
    """Raises ValueError unless it is a time with a unit."""
    return _duration_ns(text, "one", "2ms")


def _duration_ns(text: str, what: str, such_as: str) -> int:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ns|us|ms|s)", str(text))
    if not found:
        raise ValueError(f"{text!r} is not a time; give {what} with a unit, such as {such_as}")
    return round(float(found[1]) * UNITS_NS[found[2]])


def _limits(text: str) -> Limits:
    limits = {}
    for part in text.split():
        name, _, number = part.partition("=")
        if not name.isidentifier() or not number.isdigit():
            raise ValueError(f"{part!r} is not a limit; give name=number, such as redis=10 postgres=5")
        limits[name] = int(number)
    return limits


class Option(NamedTuple):
    """`redisperf_top` in the ini file is `--redisperf-top` on the command line."""

    name: str
    read: Callable[[str], object]
    default: object
    help: str
    kind: Literal["bool", "int", "string"] = "string"
    metavar: str | None = None
    environment: str | None = None

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")


OPTIONS = (
    Option("redisperf", _flag, False, "meter the Redis and Postgres round trips of every test", kind="bool"),
    Option(
        "redisperf_redis",
        _server,
        "embedded",
        "where the redis fixtures get their server: fake, embedded, system or a redis:// URL (default: embedded)",
        metavar="SERVER",
        environment="REDISPERF_REDIS",
    ),
    Option(
        "redisperf_postgres",
        _server,
        "embedded",
        "where the postgres fixtures get theirs: fake, embedded, system or a postgresql:// URL (default: embedded)",
        metavar="SERVER",
        environment="REDISPERF_POSTGRES",
    ),
    Option("redisperf_top", _tests, 10, "how many tests the summary shows (default: 10)", kind="int", metavar="N"),
    Option(
        "redisperf_network",
        _networks,
        (2_000_000, 30_000_000),
        "round-trip times to show the cost at (default: 2ms,30ms)",
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
        "added to every reply on the wire, such as 1ms; needs --redisperf-tap=proxy (default there: 1ms)",
        metavar="TIME",
    ),
)

NO_LATENCY = "only the proxy can add latency: give --redisperf-tap=proxy as well (ini key redisperf_tap = proxy)"

MARKERS = (
    "redisperf(redis=..., postgres=..., depth=..., <server name>=...): fail the test if its call phase spends more "
    "round trips; a number is the most allowed, see also redis_perf.Spend, exactly, at_most and between",
)


class Settings(NamedTuple):
    """The options as values; field for field the OPTIONS table."""

    metered: bool
    redis: str
    postgres: str
    top: int
    networks_ns: tuple[int, ...]
    budget: Limits | None
    tap: str
    latency_ns: int | None

    @classmethod
    def of(cls, config: pytest.Config) -> Settings:
        settings = cls(*(_value(config, option) for option in OPTIONS))  # type: ignore[arg-type]
        if settings.latency_ns is not None and settings.tap != "proxy":
            raise pytest.UsageError(f"redisperf_latency: {NO_LATENCY}")
        return settings


def declare(parser: pytest.Parser, options: Iterable[Option]) -> None:
    group = parser.getgroup("redisperf", "round trips of Redis and Postgres (pytest-redisperf)")
    native_int = pytest.version_tuple >= (8, 4)
    for option in options:
        kind = "string" if option.kind == "int" and not native_int else option.kind
        parser.addini(option.name, option.help, type=kind, default=None)
        if option.kind == "bool":
            group.addoption(option.flag, action="store_true", default=None, help=option.help)
        else:
            group.addoption(option.flag, default=None, metavar=option.metavar, help=option.help)


def _value(config: pytest.Config, option: Option) -> object:
    for where, ask in (
        (option.flag, lambda: config.getoption(option.name)),
        (option.environment, lambda: os.environ.get(option.environment or "")),
        (f"ini key {option.name}", lambda: config.getini(option.name)),
    ):
        try:
            value = ask()
            if value not in (None, ""):
                return option.read(str(value))
        except (ValueError, TypeError) as error:
            raise pytest.UsageError(f"{where}: {error}") from None
    return option.default
