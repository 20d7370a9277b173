"""What a choice will give, found out without starting anything: for `auto`, and for the line that says so.

`auto` takes the first there is: the URL in REDISPERF_REDIS or REDISPERF_POSTGRES, a server from a wheel, a container, a
fake. It decides by what is installed, so what it names is what is used: a server that then does not start is an error,
not a reason to take another. REDIS_URL and DATABASE_URL are not looked at: they may name a database that matters.
"""

from __future__ import annotations

import os
from importlib.metadata import version
from importlib.util import find_spec
from typing import NamedTuple

from redis_perf.errors import ServerUnavailable
from redis_perf.trace import Store

STRICT = (
    "{store}=auto: {passed}. The next ones would be docker and fake, but falling back is forbidden by "
    "--redisperf-strict-servers, which is on where CI is set (ini key redisperf_strict_servers = false to allow it). "
    "Make the first way work or name the one you mean, --redisperf-{store}=docker for example"
)


class Plan(NamedTuple):
    """Where a server will come from."""

    choice: str
    """Never `auto`."""
    program: str = ""
    """`Valkey 9.1.2`, or its image; empty where only the running server can tell."""
    passed_over: tuple[str, ...] = ()
    """Why `auto` did not take what it prefers."""


def planned(store: Store, choice: str, *, strict: bool = False) -> Plan:
    """Raises ServerUnavailable where there is nothing to start, or `strict` forbids to fall back to it."""
    if choice != "auto":
        return Plan(choice, _program(store, choice))
    url = _url(store)
    if url:
        return Plan(url)
    passed: list[str] = []
    for possible in ("embedded", "docker", "fake"):
        try:
            if possible == "docker":
                _engine_answers(store)
            return Plan(possible, _program(store, possible), tuple(passed))
        except ServerUnavailable as missing:
            passed.append(str(missing).partition(". Other ways")[0].partition("; other ways")[0])
        if strict:
            raise ServerUnavailable(STRICT.format(store=store, passed=passed[0]))
    raise ServerUnavailable(f"{store}=auto: there is none. {'; '.join(passed)}")


def at_hand(store: Store) -> str:
    """What `auto` takes, if that is a URL or `embedded`; `auto` again where an engine has to be asked."""
    from redis_perf.servers import embedded

    url = _url(store)
    if url:
        return url
    try:
        embedded.redis_binary() if store == "redis" else embedded.postgres_binary()
    except ServerUnavailable:
        return "auto"
    return "embedded"


def _url(store: Store) -> str:
    url = os.environ.get(f"REDISPERF_{store.upper()}", "")
    return url if "://" in url else ""


def _program(store: Store, choice: str) -> str:
    """Raises ServerUnavailable where it is missing."""
    kind, _, asked = choice.partition(":")
    if kind in ("embedded", "system"):
        from redis_perf.servers import embedded, installed, system

        place = embedded if kind == "embedded" else system
        return installed.said((place.redis_binary if store == "redis" else place.postgres_binary)(asked))
    if kind == "docker":
        from redis_perf.servers.docker import POSTGRES_IMAGE, REDIS_IMAGE, image

        return image(choice, REDIS_IMAGE if store == "redis" else POSTGRES_IMAGE)
    if choice == "fake":
        return _fake(store)
    return ""


def _fake(store: Store) -> str:
    if store == "postgres":
        return "a stand-in that runs no SQL"
    if find_spec("fakeredis") is None:
        from redis_perf.servers.fake import MISSING

        raise ServerUnavailable(MISSING)
    return f"fakeredis {version('fakeredis')}"


def _engine_answers(store: Store) -> None:
    from redis_perf.servers import engine

    engine.engine(store).client.close()
