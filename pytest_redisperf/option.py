"""One setting of the plugin: how it is declared and how it is read.

The command line wins over the environment, which wins over the ini file, which wins over the default. A bad value is a
`pytest.UsageError` that names where it was written. Nothing is imported here but pytest: this runs in every pytest run,
used or not.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Literal

import pytest


class Option:
    """`redisperf_top` in the ini file is `--redisperf-top` on the command line."""

    def __init__(
        self,
        name: str,
        read: Callable[[str], object],
        default: object,
        help: str,
        *,
        kind: Literal["bool", "int", "string", "linelist"] = "string",
        metavar: str | None = None,
        environment: str | None = None,
        bare: str | None = None,
    ) -> None:
        """`bare` is what the flag means without a value; None: it needs one."""
        self.name, self.read, self.default, self.help = name, read, default, help
        self.kind, self.metavar, self.environment, self.bare = kind, metavar, environment, bare

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")


def flag(text: str) -> bool:
    """Reads an option of kind `bool`."""
    return text == "True"


class Values:
    """What was given for a table of options, as attributes: a subclass annotates one for each, in the table's order.

    No NamedTuple: to make one of 16 fields takes every run as long as to import a small module.
    """

    def __init__(self, values: Iterable[object]) -> None:
        self.__dict__.update(zip(type(self).__annotations__, values, strict=True))


def declare(parser: pytest.Parser, options: Iterable[Option]) -> None:
    group = parser.getgroup("redisperf", "round trips of Redis and Postgres (pytest-redisperf)")
    native_int = pytest.version_tuple >= (8, 4)
    for option in options:
        kind = "string" if option.kind == "int" and not native_int else option.kind
        parser.addini(option.name, option.help, type=kind, default=None)
        if option.kind == "bool":
            group.addoption(option.flag, action="store_true", default=None, help=option.help)
        elif option.bare is not None:
            group.addoption(
                option.flag, default=None, nargs="?", const=option.bare, metavar=option.metavar, help=option.help
            )
        else:
            group.addoption(option.flag, default=None, metavar=option.metavar, help=option.help)


def value(config: pytest.Config, option: Option) -> object:
    """What was given, read, or the default. Raises UsageError for what cannot be read."""
    for where, ask in (
        (option.flag, lambda: config.getoption(option.name)),
        (option.environment, lambda: os.environ.get(option.environment or "")),
        (f"ini key {option.name}", lambda: config.getini(option.name)),
    ):
        try:
            value = ask()
            if value not in (None, "", []):
                return option.read("\n".join(value) if isinstance(value, list) else str(value))
        except (ValueError, TypeError) as error:
            raise pytest.UsageError(f"{where}: {error}") from None
    return option.default
