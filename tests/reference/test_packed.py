"""Commands as bytes: what redis-py makes of them, with and without hiredis."""

from __future__ import annotations

from typing import Any

import pytest
from redis import Connection
from redis.connection import PythonRespSerializer
from redis.exceptions import DataError

from redis_perf_reference import packed as module
from redis_perf_reference.packed import packed


@pytest.fixture(params=["hiredis", "without"])
def connection(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Connection:
    """Never opened; packs by hand, which is what hiredis is held to."""
    if request.param == "hiredis":
        monkeypatch.setattr(module, "_hiredis", pytest.importorskip("hiredis"))
    else:
        monkeypatch.setattr(module, "_hiredis", None)
    connection = Connection()
    connection._command_packer = PythonRespSerializer(connection._buffer_cutoff, connection.encoder.encode)
    return connection


@pytest.mark.parametrize(
    "command",
    [
        ("GET", "key"),
        ("SET", "é", b"\x00\xff\r\n", "PX", 600_000),
        ("EVALSHA", "f" * 40, 2, "one", "other", -1, "", b""),
        ("SET", "large", b"x" * 100_000),
        ("SET", "view", memoryview(b"bytes")),
        ("CONFIG GET", "maxmemory"),
    ],
    ids=lambda command: f"{command[0]} {command[1]}",
)
def test_a_command_is_packed_as_redis_py_packs_it(connection: Connection, command: tuple[Any, ...]) -> None:
    assert b"".join(packed(connection, command)) == b"".join(connection.pack_command(*command))


def test_what_is_no_argument_is_refused_as_redis_py_refuses_it(connection: Connection) -> None:
    with pytest.raises(DataError):
        packed(connection, ("SET", "key", None))
