"""OpenSSL's settings for either side of the proxy, judged when it starts rather than when a client comes.

Towards servers they are what libpq or redis-py would make of the same URL, files in `~/.postgresql` included; what
libpq takes from environment variables is not looked at. Towards clients: the certificate made for this proxy.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from redis_perf.certificates import Certificates
from redis_perf.errors import ServerUnavailable
from redis_perf.proxy.trust import SYSTEM, Trust
from redis_perf.proxy.upstream import Upstream
from redis_perf.trace import Store

_ALPN: Final = "postgresql"


class Secrecy(NamedTuple):
    """On which sides of an upstream's relays TLS is spoken; None: in clear."""

    clients: ssl.SSLContext | None = None
    server: ssl.SSLContext | None = None

    @classmethod
    def of(cls, upstream: Upstream, certificates: Certificates | None) -> Secrecy:
        """Raises ServerUnavailable for files that cannot be used."""
        server = None if upstream.tls is None else _towards_server(upstream, upstream.tls)
        return cls(None if certificates is None else _towards_clients(upstream.store, certificates), server)


def _towards_clients(store: Store, certificates: Certificates) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.cert_path, certificates.key_path)
    context.num_tickets = 0  # a client that leaves without reading them would reset the connection
    if store == "postgres":
        context.set_alpn_protocols([_ALPN])
    return context


def _towards_server(upstream: Upstream, trust: Trust) -> ssl.SSLContext:
    if upstream.store == "redis":
        context = ssl.create_default_context()
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.set_alpn_protocols([_ALPN])
        trust = _of_libpq(upstream.name, trust)
    context.check_hostname = trust.judged == "name"
    context.verify_mode = ssl.CERT_NONE if trust.judged == "nothing" else ssl.CERT_REQUIRED
    _load(upstream.name, context, trust)
    return context


def _of_libpq(name: str, trust: Trust) -> Trust:
    """With what libpq finds by itself."""
    own = Path("~/.postgresql").expanduser()
    if trust.ca_file is None and (own / "root.crt").exists():
        trust = trust.with_files(ca_file=str(own / "root.crt"))
    if trust.cert is None and (own / "postgresql.crt").exists():
        trust = trust.with_files(cert=str(own / "postgresql.crt"))
    if trust.cert is not None and trust.key is None and (own / "postgresql.key").exists():
        trust = trust.with_files(key=str(own / "postgresql.key"))
    if trust.ca_file is None and trust.judged != "nothing":
        raise ServerUnavailable(
            f"{name}: the URL wants the server's certificate verified, but sslrootcert names no authority and "
            f"{own / 'root.crt'} does not exist; sslrootcert=system trusts what this machine trusts"
        )
    return trust


def _load(name: str, context: ssl.SSLContext, trust: Trust) -> None:
    if trust.ca_file == SYSTEM:
        context.load_default_certs()
    elif trust.ca_file or trust.ca_path or trust.ca_data:
        what = f"the authority's certificate {trust.ca_file or trust.ca_path or 'in ssl_ca_data'}"
        _use(name, what, lambda: context.load_verify_locations(trust.ca_file, trust.ca_path, trust.ca_data))
    if trust.cert:
        cert, key = trust.cert, trust.key
        what = f"the client certificate {cert}{f' with the key {key}' if key else ''}"
        _use(name, what, lambda: context.load_cert_chain(cert, key, lambda: trust.password or ""))


def _use(name: str, what: str, load: Callable[[], None]) -> None:
    try:
        load()
    except ssl.SSLError as error:
        raise ServerUnavailable(f"{name}: {what} cannot be used: it is no PEM that fits ({error.reason})") from error
    except OSError as error:
        raise ServerUnavailable(f"{name}: {what} cannot be used: {error.strerror or error}") from error
