"""Codec: values as bytes and back, the same for the cache in the process and for the one in Redis.

Both hand out what these bytes decode to, so a value reads alike wherever it was found. The first byte names format and
compression: either may change while old values are still there. Nothing is ever executed by reading (no pickle).

Without a type, JSON has no tuples, datetimes or whole numbers as keys. Rather than change such a value silently,
`encode` refuses it: name the type (`Codec(type=Persona)`) and msgspec restores it exactly.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any, Literal

import msgspec

Format = Literal["json", "msgpack"]
Compression = Literal["zlib", "zstd"]

MAX_VALUE_BYTES = 512 * 2**20  # what a Redis string can hold
_FORMATS: dict[str, int] = {"json": 0x01, "msgpack": 0x02}
_COMPRESSIONS: dict[str, int] = {"zlib": 0x10, "zstd": 0x20}


class Unencodable(TypeError):
    """This value has no faithful form in the codec's format. Nothing was written."""


class Undecodable(ValueError):
    """These bytes are damaged, or hold another type of value."""


class UnknownFormat(Undecodable):
    """These bytes name a format this codec does not read: a newer release's or a stranger's."""


class Codec:
    """Values of `type` (anything, if not said) in `format`; compressed where that makes `compress_above` bytes smaller.

    `zstd` needs the package `zstandard`. A codec reads both compressions, and one format. A value that does not decode
    to its equal is refused, unless `faithful` is False.
    """

    def __init__(
        self,
        type: Any = Any,
        *,
        format: Format = "json",
        compression: Compression | None = None,
        compress_above: int = 1024,
        faithful: bool = True,
        max_bytes: int = MAX_VALUE_BYTES,
    ) -> None:
        if format not in _FORMATS:
            raise ValueError(f"format is {format!r}: choose one of {', '.join(_FORMATS)}")
        if compression is not None and compression not in _COMPRESSIONS:
            raise ValueError(f"compression is {compression!r}: choose one of {', '.join(_COMPRESSIONS)}, or None")
        if compression == "zstd":
            _zstandard()
        library = msgspec.json if format == "json" else msgspec.msgpack
        self.decode_plain: Callable[[bytes], Any] = library.Decoder(type).decode
        self._encode_plain: Callable[[object], bytes] = library.Encoder().encode
        self._format, self._faithful, self._max_bytes = format, faithful, max_bytes
        self._compression, self._compress_above = compression, compress_above
        self._plain_header = bytes([_FORMATS[format]])

    def encode(self, value: object, name: str = "value") -> bytes:
        """Header and body. Raises Unencodable, which begins with `name`."""
        return self.framed(self.encode_plain(value, name))

    def framed(self, plain: bytes) -> bytes:
        """Header and body, of a body."""
        if self._compression is not None and len(plain) > self._compress_above:
            body = _compressed(self._compression, plain)
            if len(body) < len(plain):
                return bytes([_FORMATS[self._format] | _COMPRESSIONS[self._compression]]) + body
        return self._plain_header + plain

    def decode(self, raw: bytes) -> Any:
        """The value. Raises Undecodable."""
        return self.read(raw)[1]

    def read(self, raw: bytes, start: int = 0) -> tuple[bytes, Any]:
        """The body alone, and the value, of the bytes from `start` on. Raises Undecodable."""
        body = start + 1
        plain = raw[body:] if raw[start:body] == self._plain_header else self._unusual(raw[start:])
        try:
            return plain, self.decode_plain(plain)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise Undecodable(f"not {self._format} of the codec's type: {error}") from error

    def encode_plain(self, value: object, name: str = "value") -> bytes:
        """The body alone, without header or compression: what `decode_plain` reads. Raises Unencodable."""
        return self._encoded(value, name, self._faithful)[0]

    def copied(self, value: object, name: str = "value") -> tuple[bytes, Any]:
        """What `encode_plain` returns, and what that decodes to. Raises Unencodable."""
        return self._encoded(value, name, decoded=True)

    def _encoded(self, value: object, name: str, decoded: bool) -> tuple[bytes, Any]:
        try:
            plain = self._encode_plain(value)
            again = self.decode_plain(plain) if decoded else value
        except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
            raise Unencodable(f"{name}: no {self._format} of {_kind(value)}: {error}") from error
        if self._faithful and not _equal(again, value):
            raise Unencodable(
                f"{name}: {_kind(value)} would come back changed from {self._format} ({_short(value)} as "
                f"{_short(again)}): give the codec a type, or say faithful=False"
            )
        if len(plain) >= self._max_bytes:
            raise Unencodable(f"{name}: {len(plain)} bytes of {self._format}, must be below {self._max_bytes}")
        return plain, again

    def _unusual(self, raw: bytes) -> bytes:
        """The body of what is compressed. Raises Undecodable for what is not."""
        if not raw:
            raise Undecodable("no bytes at all")
        if raw[0] & 0x0F != _FORMATS[self._format] or raw[0] & 0xF0 not in _COMPRESSIONS.values():
            raise UnknownFormat(f"header 0x{raw[0]:02x} is not {self._format}'s")
        return _decompressed(raw, self._max_bytes)


def _compressed(compression: Compression, plain: bytes) -> bytes:
    if compression == "zlib":
        return zlib.compress(plain, 1)
    body: bytes = _zstandard().ZstdCompressor().compress(plain)
    return body


def _decompressed(raw: bytes, max_bytes: int) -> bytes:
    """At most `max_bytes`: a few bytes of a stranger's must not fill the memory."""
    zstd = raw[0] & 0xF0 == _COMPRESSIONS["zstd"]
    try:
        errors = (zlib.error, *((_zstandard().ZstdError,) if zstd else ()))
    except ModuleNotFoundError as error:
        raise Undecodable(str(error)) from error
    try:
        decompressor = _zstandard().ZstdDecompressor().decompressobj() if zstd else zlib.decompressobj()
        plain: bytes = decompressor.decompress(raw[1:]) if zstd else decompressor.decompress(raw[1:], max_bytes)
    except errors as error:
        raise Undecodable(f"damaged compression: {error}") from error
    if not decompressor.eof:
        raise Undecodable(f"compression ends early, or holds {max_bytes} bytes or more")
    return plain


def _zstandard() -> Any:
    try:
        return import_module("zstandard")
    except ImportError as error:
        raise ModuleNotFoundError("zstd needs the package zstandard: install it, or choose zlib") from error


def _equal(one: object, other: object) -> bool:
    """Equal, and of the same kind at the top: True is no 1, and a Struct no dict."""
    return one == other and type(one) is type(other)


def _kind(value: object) -> str:
    return type(value).__name__


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
