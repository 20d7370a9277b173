"""What a URL says about TLS, in the words of redis-py or of libpq, and the same URL without it. No I/O.

An option that is not known here is refused rather than ignored: the proxy must not be less careful than the client
that was meant to use the URL.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from redis_perf.trace import Store

Judged: TypeAlias = "Literal['nothing', 'authority', 'name']"
"""What of the server's certificate must be right: nothing, who issued it, or the host it names as well."""

TLS_SCHEMES: Final = {"rediss": "redis", "valkeys": "valkey"}
"""And how each is called without TLS."""
SYSTEM: Final = "system"
_REDIS_KNOWN: Final = (
    "ssl_cert_reqs", "ssl_check_hostname", "ssl_ca_certs", "ssl_ca_path", "ssl_ca_data", "ssl_certfile", "ssl_keyfile",
    "ssl_password",
)  # fmt: skip
_POSTGRES_KNOWN: Final = (
    "sslmode", "sslnegotiation", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcompression", "sslsni",
    "sslcertmode",
)  # fmt: skip
_FALSE: Final = frozenset({"", "0", "f", "false", "n", "no", "off"})
_MODES: Final[dict[str, Judged]] = {"require": "nothing", "verify-ca": "authority", "verify-full": "name"}
_WEAK: Final = frozenset({"disable", "allow", "prefer"})


@dataclass(frozen=True, slots=True)
class Trust:
    """How to speak TLS to a server. Paths are as the URL gives them."""

    host: str
    """What the certificate must name."""
    judged: Judged
    ca_file: str | None = None
    """`system` is libpq's word for what the machine trusts."""
    ca_path: str | None = None
    ca_data: str | None = None
    cert: str | None = None
    key: str | None = None
    password: str | None = None
    direct: bool = False
    """Postgres: TLS from the first byte, without a request for it."""

    def with_files(self, *, ca_file: str | None = None, cert: str | None = None, key: str | None = None) -> Trust:
        """With what was found elsewhere. Like libpq's `require`, it judges by an authority once there is one."""
        judged: Judged = "authority" if ca_file and self.judged == "nothing" else self.judged
        return replace(
            self, judged=judged, ca_file=ca_file or self.ca_file, cert=cert or self.cert, key=key or self.key
        )

    @classmethod
    def of_redis(cls, host: str, options: Mapping[str, str]) -> Trust:
        """Verified unless said otherwise. Raises ValueError."""
        _only(_REDIS_KNOWN, options)
        demanded = options.get("ssl_cert_reqs", "required")
        if demanded not in ("none", "optional", "required"):
            raise ValueError(f"ssl_cert_reqs={demanded}: expected required, optional or none")
        named = options.get("ssl_check_hostname", "true").lower() not in _FALSE
        return cls(
            host,
            "nothing" if demanded == "none" else "name" if named else "authority",
            ca_file=options.get("ssl_ca_certs"),
            ca_path=options.get("ssl_ca_path"),
            ca_data=options.get("ssl_ca_data"),
            cert=options.get("ssl_certfile"),
            key=options.get("ssl_keyfile"),
            password=options.get("ssl_password"),
        )

    @classmethod
    def of_postgres(cls, host: str, options: Mapping[str, str]) -> Trust | None:
        """None where libpq would do without TLS: `prefer` too, and no `sslmode` at all. Raises ValueError."""
        direct, ca_file = options.get("sslnegotiation") == "direct", options.get("sslrootcert")
        mode = options.get("sslmode", "verify-full" if ca_file == SYSTEM else "prefer")
        if mode in _WEAK:
            if direct:
                raise ValueError(f"sslnegotiation=direct needs sslmode=require, verify-ca or verify-full, not {mode}")
            return None
        if mode not in _MODES:
            raise ValueError(f"sslmode={mode}: expected disable, allow, prefer, {', '.join(_MODES)}")
        _only(_POSTGRES_KNOWN, options)
        if ca_file == SYSTEM and mode != "verify-full":
            raise ValueError(f"sslrootcert=system needs sslmode=verify-full, not {mode}")
        trust = cls(
            host,
            _MODES[mode],
            cert=options.get("sslcert"),
            key=options.get("sslkey"),
            password=options.get("sslpassword"),
            direct=direct,
        )
        return trust.with_files(ca_file=ca_file)


def without_tls(options: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The options of a URL that are left when whom to trust is said anew."""
    return [(name, value) for name, value in options if not name.startswith("ssl") and name != "channel_binding"]


def through_tls(store: Store, ca_file: str, *, binds: bool) -> list[tuple[str, str]]:
    """The options by which a client trusts this authority alone.

    `binds`: the server too speaks TLS. libpq would tell it that nobody offered channel binding, and it knows better.
    """
    if store == "redis":
        return [("ssl_ca_certs", ca_file)]
    return [
        ("sslmode", "verify-full"),
        ("sslrootcert", ca_file),
        *([("channel_binding", "disable")] if binds else []),
    ]


def _only(known: tuple[str, ...], options: Mapping[str, str]) -> None:
    for name in options:
        if name.startswith("ssl") and name not in known:
            raise ValueError(f"the proxy does not know {name}; of TLS it knows {', '.join(known)}")
