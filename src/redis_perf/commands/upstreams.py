"""What `run` and `proxy` have in common: which servers, the proxy before them, their names in the environment."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from string import Formatter
from typing import Final
from urllib.parse import unquote, urlsplit

from redis_perf import ServerUnavailable, servers
from redis_perf.commands import CommandError
from redis_perf.network import duration_ns
from redis_perf.proxy import DEFAULT_HOLD_NS, Proxy

NONE: Final = "none"
VARIABLES: Final = {
    "redis": {"REDIS_URL": "{redis}", "REDIS_HOST": "{redis.host}", "REDIS_PORT": "{redis.port}"},
    "postgres": {
        "DATABASE_URL": "{postgres}",
        "PGHOST": "{postgres.host}",
        "PGPORT": "{postgres.port}",
        "PGUSER": "{postgres.user}",
        "PGPASSWORD": "{postgres.password}",
        "PGDATABASE": "{postgres.database}",
        "PGSSLMODE": "{postgres.sslmode}",
        "PGSSLROOTCERT": "{postgres.ca}",
        "PGCHANNELBINDING": "{postgres.channel_binding}",
    },
}
"""What a command is told of the servers it is to use; each other server NAME gets `NAME_URL`."""


def add_arguments(parser: argparse.ArgumentParser, default: str) -> None:
    choice = "a URL, embedded, system, docker or none"
    parser.add_argument("--redis", default=default, metavar="URL", help=f"{choice} (default {default})")
    parser.add_argument("--postgres", default=default, metavar="URL", help=f"{choice} (default {default})")
    parser.add_argument(
        "--server",
        action="append",
        default=[],
        type=_named,
        metavar="NAME=URL",
        help="one more server, counted under this name; may be given again",
    )
    parser.add_argument(
        "--latency",
        type=latency_ns,
        default=DEFAULT_HOLD_NS,
        metavar="TIME",
        help="added to each reply: 2ms, 500us (default 1ms; with less, counts may be too high; with 0 they are upper "
        "bounds)",
    )
    parser.add_argument(
        "--tls",
        action="store_true",
        help="speak TLS to clients, with a certificate made for it, which the URLs name (needs the extra tls)",
    )


def latency_ns(text: str) -> int:
    """`2ms` as nanoseconds. Raises ArgumentTypeError."""
    try:
        return 0 if text == "0" else duration_ns(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}, or 0") from None


def _named(text: str) -> tuple[str, str]:
    name, equals, url = text.partition("=")
    if name in VARIABLES:
        raise argparse.ArgumentTypeError(f"{text!r}: expected another name; --{name} URL is for the one called {name}")
    if not equals or not re.fullmatch(r"[A-Za-z]\w*", name):
        raise argparse.ArgumentTypeError(f"{text!r}: expected NAME=URL, as streams=redis://127.0.0.1:6380/0")
    return name, url


def names(arguments: argparse.Namespace) -> tuple[str, ...]:
    """What the servers asked for are called. Raises CommandError if there is none."""
    chosen = [*_asked(arguments), *dict(arguments.server)]
    if not chosen:
        raise CommandError("no server given: expected --redis URL, --postgres URL or --server NAME=URL")
    return tuple(chosen)


@contextmanager
def proxied(
    arguments: argparse.Namespace, at: Mapping[str, tuple[str, int]] | None = None, *, may_be_down: bool = False
) -> Iterator[Proxy]:
    """The proxy before the servers asked for; those of our own are started. Raises CommandError.

    `may_be_down`: a server given by URL need not be there yet.
    """
    with ExitStack() as stack:
        try:
            urls = {name: _url(name, getattr(arguments, name), stack, may_be_down) for name in _asked(arguments)}
            urls |= dict(arguments.server)
            proxy = stack.enter_context(Proxy(latency_ns=arguments.latency, tls=arguments.tls, at=at, upstreams=urls))
        except ServerUnavailable as error:
            raise CommandError(str(error).replace("--redisperf-", "--")) from error  # as the options are called here
        yield proxy


def _asked(arguments: argparse.Namespace) -> list[str]:
    return [name for name in VARIABLES if getattr(arguments, name) != NONE]


def _url(name: str, choice: str, stack: ExitStack, may_be_down: bool) -> str:
    if may_be_down and "://" in choice:
        return choice
    if name == "redis":
        redis = servers.redis(choice)
        stack.callback(redis.stop)
        return redis.url
    postgres = servers.postgres(choice)
    stack.callback(postgres.stop)
    return stack.enter_context(postgres.database())


class UrlParts:
    """What a template can name of a URL: `{postgres.user}`. A part that the URL has not is empty."""

    def __init__(self, url: str) -> None:
        self._url = url

    @property
    def host(self) -> str:
        parts = urlsplit(self._url)
        return unquote(parts.hostname or "") or _option(parts.query, "host") or unquote(parts.path)

    @property
    def port(self) -> str:
        parts = urlsplit(self._url)
        return str(parts.port or "") or _option(parts.query, "port")

    @property
    def user(self) -> str:
        return unquote(urlsplit(self._url).username or "")

    @property
    def password(self) -> str:
        return unquote(urlsplit(self._url).password or "")

    @property
    def database(self) -> str:
        return unquote(urlsplit(self._url).path.lstrip("/"))

    @property
    def sslmode(self) -> str:
        return _option(urlsplit(self._url).query, "sslmode")

    @property
    def ca(self) -> str:
        """The file with the authority to trust, where TLS is to be spoken."""
        query = urlsplit(self._url).query
        return _option(query, "sslrootcert") or _option(query, "ssl_ca_certs")

    @property
    def channel_binding(self) -> str:
        return _option(urlsplit(self._url).query, "channel_binding")


PARTS: Final = tuple(name for name, value in vars(UrlParts).items() if isinstance(value, property))


def _option(query: str, name: str) -> str:
    return next((unquote(item.partition("=")[2]) for item in query.split("&") if item.partition("=")[0] == name), "")


def environment(urls: Mapping[str, str], extra: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The variables to set: the usual ones, then `extra`, which may name any of them. Raises CommandError."""
    templates: dict[str, str] = {}
    for name in urls:
        templates |= VARIABLES.get(name, {f"{name.upper()}_URL": f"{{{name}}}"})
    filling, found = _Filling(urls), dict[str, str]()
    for variable, template in [*templates.items(), *extra]:
        try:
            found[variable] = filling.format(template)
        except (KeyError, ValueError) as error:
            raise CommandError(
                f"--env {variable}={template}: no such value ({error}); there are "
                f"{', '.join(f'{{{name}}}' for name in urls)}, each with {' '.join(f'.{part}' for part in PARTS)}"
            ) from error
    return {variable: value for variable, value in found.items() if value}


class _Filling(Formatter):
    """Knows the URLs and their PARTS, and no other attribute of anything."""

    def __init__(self, urls: Mapping[str, str]) -> None:
        self._urls = urls

    def get_field(self, field_name: str, args: object, kwargs: object) -> tuple[str, str]:
        """Raises KeyError."""
        name, dot, part = field_name.partition(".")
        if name not in self._urls or (dot and part not in PARTS):
            raise KeyError(field_name)
        return getattr(UrlParts(self._urls[name]), part) if dot else self._urls[name], field_name
