"""Whom the proxy stands before: a server by its URL, and the URL that leads to it through the proxy. No I/O.

The store is known from the scheme. The proxy listens on the kind of socket its upstream has: TCP on the loopback for
TCP, a Unix socket in a private directory for a Unix socket.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from redis_perf.errors import ServerUnavailable
from redis_perf.trace import Store

Address: TypeAlias = "str | tuple[str, int]"
"""A Unix socket's path, or host and port."""

_STORES: Final[dict[str, Store]] = {
    "redis": "redis",
    "valkey": "redis",
    "unix": "redis",
    "postgres": "postgres",
    "postgresql": "postgres",
}
_PORTS: Final = {"redis": 6379, "postgres": 5432}
_NEEDS_TLS: Final = frozenset({"require", "verify-ca", "verify-full"})
SCHEMES: Final = "redis://, unix://, postgresql://"


@dataclass(frozen=True, slots=True)
class Upstream:
    """One server. `name` is what the user calls it; `redis` and `postgres` are also what budgets call the stores."""

    name: str
    store: Store
    address: Address
    url: str

    @classmethod
    def parse(cls, name: str, url: str) -> Upstream:
        """Raises ServerUnavailable with what is wrong with the URL."""
        parts = urlsplit(url)
        if parts.scheme == "rediss":
            raise ServerUnavailable(f"{name}: rediss:// means TLS, which the proxy does not speak to a server yet")
        store = _STORES.get(parts.scheme)
        if store is None:
            raise ServerUnavailable(f"{name}: {parts.scheme or url!r} is no scheme the proxy knows; it knows {SCHEMES}")
        try:
            address = _address(name, store, parts)
        except ValueError as error:
            raise ServerUnavailable(f"{name}: {error}") from error
        return cls(name, store, address, url)

    @property
    def shown(self) -> str:
        """`127.0.0.1:6379` or a path: how a trace names the server."""
        return self.address if isinstance(self.address, str) else _host_and_port(*self.address)

    @property
    def label(self) -> str | None:
        """The name a trace gives its round trips; none where that is the store's own."""
        return None if self.name in ("redis", "postgres") else self.name

    @property
    def socket_name(self) -> str:
        """What the file of the proxy's Unix socket is called: libpq makes the name from the port."""
        return f".s.PGSQL.{_port(urlsplit(self.url), 'postgres')}" if self.store == "postgres" else f"{self.name}.sock"

    def through(self, address: Address) -> str:
        """The same URL (user, password, database, options) with the proxy's address in it."""
        parts = urlsplit(self.url)
        login, at, _ = parts.netloc.rpartition("@")
        if isinstance(address, tuple):
            return _url(parts, f"{login}{at}{_host_and_port(*address)}", parts.path, _without_host(parts))
        if self.store == "redis":
            return _url(parts, parts.netloc, quote(address), parts.query)
        directory = address.rpartition("/")[0]
        query = urlencode([*_options(_without_host(parts)), ("host", directory), ("port", _port(parts, "postgres"))])
        return _url(parts, f"{login}{at}", parts.path, query)


def _url(parts: SplitResult, netloc: str, path: str, query: str) -> str:
    """Written out: `geturl` drops the slashes before an empty netloc."""
    return f"{parts.scheme}://{netloc}{path}{'?' if query else ''}{query}"


def _address(name: str, store: Store, parts: SplitResult) -> Address:
    if parts.scheme == "unix":
        if not parts.path:
            raise ValueError("unix:// names no path; expected unix:///run/redis.sock")
        return unquote(parts.path)
    if "," in parts.netloc:
        raise ValueError("the URL names several hosts; the proxy stands before one: give each a name of its own")
    options = dict(_options(parts.query))
    if options.get("sslmode") in _NEEDS_TLS:
        mode = options["sslmode"]
        raise ValueError(f"sslmode={mode} means TLS, which the proxy does not speak to a server yet; prefer is served")
    host = unquote(parts.hostname or "") or options.get("host", "")
    if not host and store == "postgres":
        raise ValueError("the URL names no host; expected postgresql://host/database or ...?host=/directory")
    if host.startswith("/"):
        return f"{host}/.s.PGSQL.{_port(parts, store)}"
    return (host or "localhost", _port(parts, store))


def _port(parts: SplitResult, store: str) -> int:
    return parts.port or int(dict(_options(parts.query)).get("port", _PORTS[store]))


def _options(query: str) -> list[tuple[str, str]]:
    return parse_qsl(query, keep_blank_values=True)


def _without_host(parts: SplitResult) -> str:
    kept = [(name, value) for name, value in _options(parts.query) if name not in ("host", "hostaddr", "port")]
    return parts.query if len(kept) == len(_options(parts.query)) else urlencode(kept)


def _host_and_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
