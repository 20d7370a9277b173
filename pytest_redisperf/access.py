"""How a fixture gets at a server: clean, by its URL, through the proxy where that is asked for, with a client."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from pytest_redisperf.options import Settings

if TYPE_CHECKING:
    from redis_perf.servers import RedisServer
    from redis_perf.trace import Store


def url_of(server: RedisServer) -> str:
    """Its URL; the test fails with the sentence that says why there is none."""
    from redis_perf import ServerUnavailable

    try:
        return server.url
    except ServerUnavailable as error:
        why = f"redisperf: {error}"
    pytest.fail(why, pytrace=False)


def seen(config: pytest.Config, store: Store, url: str) -> str:
    """This URL, or the one that leads there through the proxy where that is to count or to slow things down."""
    settings = Settings.of(config)
    if settings.tap == "clients" and not settings.slow:
        return url
    from pytest_redisperf.wire import wire_of

    return wire_of(config).through(store, url)


def client_library(module: str, name: str, extra: str) -> ModuleType:
    """The module; the test fails with what to install where it is missing."""
    try:
        return import_module(module)
    except ImportError as error:
        why = (
            f"redisperf: this fixture needs {name}, which is not installed ({error}); "
            f"pip install 'pytest-redisperf[{extra}]'"
        )
    pytest.fail(why, pytrace=False)  # outside of the handler, or the cause would be told as well
