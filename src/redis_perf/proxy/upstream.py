"""Whom the proxy stands before: a server by its URL, and the URL that leads to it through the proxy. No I/O.

The store is known from the scheme. The proxy listens on the kind of socket its upstream has: TCP on the loopback for
TCP, a Unix socket in a private directory for a Unix socket. Whether it speaks TLS is another matter on either side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from redis_perf.errors import ServerUnavailable
from redis_perf.proxy.trust import TLS_SCHEMES, Trust, through_tls, without_tls
from redis_perf.trace import Store

Address: TypeAlias = "str | tuple[str, int]"
"""A Unix socket's path, or host and port."""

_STORES: Final[dict[str, Store]] = {
    **dict.fromkeys(("redis", "rediss", "valkey", "valkeys", "unix"), "redis"),
    "postgres": "postgres",
    "postgresql": "postgres",
}
_PORTS: Final = {"redis": 6379, "postgres": 5432}
SCHEMES: Final = "redis://, rediss://, unix://, postgresql://"


@dataclass(frozen=True, slots=True)
class Upstream:
    """One server. `name` is what the user calls it; `redis` and `postgres` are also what budgets call the stores."""

    name: str
    store: Store
    address: Address
    url: str
    tls: Trust | None = None
    """How to speak TLS to it; None: it is spoken to in clear."""

    @classmethod
    def parse(cls, name: str, url: str) -> Upstream:
        """Raises ServerUnavailable with what is wrong with the URL."""
        parts = urlsplit(url)
        store = _STORES.get(parts.scheme)
        if store is None:
            raise ServerUnavailable(f"{name}: {parts.scheme or url!r} is no scheme the proxy knows; it knows {SCHEMES}")
        try:
            address = _address(store, parts)
            tls = _trust(store, parts, address)
        except ValueError as error:
            raise ServerUnavailable(f"{name}: {error}") from error
        return cls(name, store, address, url, tls)

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

    def through(self, address: Address, ca_file: str | None = None) -> str:
        """The same URL (user, password, database, options) with the proxy's address in it.

        `ca_file` is of the authority of a proxy that speaks TLS to its clients; it then listens on TCP.
        """
        parts = urlsplit(self.url)
        login, at, _ = parts.netloc.rpartition("@")
        if isinstance(address, tuple):
            path = "" if parts.scheme == "unix" else parts.path
            netloc = f"{login}{at}{_host_and_port(*address)}"
            return _url(self._scheme(parts, tls=ca_file is not None), netloc, path, self._query(parts, ca_file))
        if self.store == "redis":
            return _url(parts.scheme, parts.netloc, quote(address), parts.query)
        directory = address.rpartition("/")[0]
        query = urlencode([*_options(_without_host(parts)), ("host", directory), ("port", _port(parts, "postgres"))])
        return _url(parts.scheme, f"{login}{at}", parts.path, query)

    def _scheme(self, parts: SplitResult, *, tls: bool) -> str:
        if self.store == "postgres":
            return parts.scheme
        clear = TLS_SCHEMES.get(parts.scheme, "redis" if parts.scheme == "unix" else parts.scheme)
        return f"{clear}s" if tls else clear

    def _query(self, parts: SplitResult, ca_file: str | None) -> str:
        """As it was, unless either side speaks TLS."""
        query = _without_host(parts)
        if self.tls is None and ca_file is None:
            return query
        options = without_tls(_options(query))
        if ca_file is not None:
            options += through_tls(self.store, ca_file, binds=self.tls is not None)
        elif self.store == "postgres":
            options.append(("sslmode", "disable"))
        return urlencode(options, safe="/")


def _url(scheme: str, netloc: str, path: str, query: str) -> str:
    """Written out: `geturl` drops the slashes before an empty netloc."""
    return f"{scheme}://{netloc}{path}{'?' if query else ''}{query}"


def _trust(store: Store, parts: SplitResult, address: Address) -> Trust | None:
    if isinstance(address, str):  # like libpq: no TLS on a Unix socket
        return None
    options = dict(_options(parts.query))
    if store == "postgres":
        return Trust.of_postgres(address[0], options)
    return Trust.of_redis(address[0], options) if parts.scheme in TLS_SCHEMES else None


def _address(store: Store, parts: SplitResult) -> Address:
    if parts.scheme == "unix":
        if not parts.path:
            raise ValueError("unix:// names no path; expected unix:///run/redis.sock")
        return unquote(parts.path)
    if "," in parts.netloc:
        raise ValueError("the URL names several hosts; the proxy stands before one: give each a name of its own")
    options = dict(_options(parts.query))
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
