"""How a Redis of ours differs from a plain one, and what of that goes into its configuration file. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import quote

ADMINISTRATOR = "redisperf"


class _RedisOptions(NamedTuple):
    password: str = ""
    user: str = ""
    acl: str = "~* &* +@all"
    """What `user` may do, in the words of ACL SETUSER."""
    appendonly: bool = False
    """Keep the data in an append-only file, written before each reply (`appendfsync always`): what was answered
    survives `kill` and `restart`. Without it data is gone after either."""
    tls: bool = False
    """Speak TLS only, with a certificate made for this server."""
    settings: Mapping[str, str] = MappingProxyType({})
    """Further lines of the configuration file, by their first word."""


class RedisOptions(_RedisOptions):  # no dataclass: what makes those takes a process that starts servers 5 ms to import
    """`password` alone is that of the default user; with `user`, of that ACL user, and nobody else may log in.

    Raises ValueError for an ACL user without a password and for what is not one line.
    """

    __slots__ = ()

    if not TYPE_CHECKING:

        def __new__(cls, *values: Any, **named: Any) -> Self:
            options = super().__new__(cls, *values, **named)
            options._check()
            return options

        def _replace(self, **named: Any) -> Self:
            return type(self)(**{**self._asdict(), **named})

        def __getnewargs__(self) -> tuple[object, ...]:
            """For pickle, which takes no MappingProxyType."""
            return tuple({**self._asdict(), "settings": dict(self.settings)}.values())

    def _check(self) -> None:
        if self.user and not self.password:
            raise ValueError(f"user={self.user!r} has no password: give password=... as well")
        for text in (self.user, self.acl, *self.settings, *self.settings.values()):
            if "\n" in text:
                raise ValueError(f"{text!r}: expected one line, as it will stand in the configuration file")

    def lines(self, administrator_password: str) -> Iterator[str]:
        """Of the configuration file; what does not depend on where the server lives."""
        yield f"appendonly {'yes' if self.appendonly else 'no'}"
        if self.appendonly:
            yield "appendfsync always"
        if self.user:
            yield "user default off"
            yield f"user {self.user} on {_hashed(self.password)} {self.acl}"
            yield f"user {ADMINISTRATOR} on {_hashed(administrator_password)} ~* &* +@all"
        elif self.password:
            yield f"requirepass {quoted(self.password)}"
        for name, value in self.settings.items():
            yield f"{name} {value}"

    def login(self, administrator_password: str) -> list[list[str]]:
        """The commands by which we ourselves log in."""
        if self.user:
            return [["AUTH", ADMINISTRATOR, administrator_password]]
        return [["AUTH", self.password]] if self.password else []

    def url(self, port: int, authority: Path | None) -> str:
        """For clients; `authority` is the certificate to trust."""
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}@" if self.password else ""
        if authority is None:
            return f"redis://{login}127.0.0.1:{port}/0"
        return f"rediss://{login}127.0.0.1:{port}/0?ssl_ca_certs={quote(str(authority))}"


def quoted(value: str) -> str:
    """As the configuration file takes any text."""
    plain = (chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\x{byte:02x}" for byte in value.encode())
    return f'"{"".join(plain)}"'


def _hashed(password: str) -> str:
    return f"#{sha256(password.encode()).hexdigest()}"
