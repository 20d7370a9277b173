"""What the redis-py tap changes, it gives back: one test for each patch, and each thing that may be missing."""

from __future__ import annotations

import asyncio
import gc
import importlib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

pytest.importorskip("redis")

import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.asyncio.connection
import redis.connection

from redis_perf import TapError
from redis_perf.recorder import Recorder
from redis_perf.taps.redis_py import redis_py, valkey_py

PATCHED = [
    ("connection", "AbstractConnection", "_sock"),
    ("connection", "Connection", "_connect"),
    ("connection", "UnixDomainSocketConnection", "_connect"),
    ("asyncio.connection", "AbstractConnection", "_writer"),
    ("asyncio.connection", "AbstractConnection", "send_packed_command"),
    ("asyncio.connection", "Connection", "_connect"),
    ("asyncio.connection", "UnixDomainSocketConnection", "_connect"),
    ("asyncio.client", "{client}", "execute_command"),
    ("asyncio.client", "Pipeline", "execute"),
    ("asyncio.cluster", "{client}Cluster", "execute_command"),
    ("asyncio.cluster", "ClusterPipeline", "execute"),
]
TAPS = {"redis": ("Redis", redis_py), "valkey": ("Valkey", valkey_py)}


@pytest.mark.parametrize("library", TAPS)
@pytest.mark.parametrize(("module", "owner", "name"), PATCHED, ids=lambda part: part)
def test_a_patch_is_there_while_the_tap_is_and_gone_after(library: str, module: str, owner: str, name: str) -> None:
    pytest.importorskip(library)
    client, tap = TAPS[library]
    patched = getattr(importlib.import_module(f"{library}.{module}"), owner.format(client=client))
    before = vars(patched).get(name)
    during = None
    with suppress(ZeroDivisionError), tap(Recorder()):
        during = vars(patched)[name]
        raise ZeroDivisionError
    assert during is not None
    assert during is not before
    assert vars(patched).get(name) is before
    assert (name in vars(patched)) is (name != "_sock")


@pytest.mark.parametrize(("module", "owner", "name"), PATCHED[1:], ids=lambda part: part)
def test_a_missing_hook_point_is_a_tap_error_and_nothing_stays_patched(
    monkeypatch: pytest.MonkeyPatch, module: str, owner: str, name: str
) -> None:
    hooked = getattr(importlib.import_module(f"redis.{module}"), owner.format(client="Redis"))
    monkeypatch.setattr(redis, "__version__", "99.0")
    monkeypatch.delattr(hooked, name)
    recorder = Recorder()
    with pytest.raises(TapError) as error, redis_py(recorder):
        pass
    assert str(error.value) == (
        f"redis-py 99.0 has no redis.{module}.{owner.format(client='Redis')}.{name}, so its traffic cannot be counted "
        "(tested with 5.0.8 to 8.1). Install a tested version of redis"
    )
    assert "_sock" not in vars(redis.connection.AbstractConnection)
    assert recorder.trace(0).taps == ()


def test_a_blocking_connection_without_a_socket_attribute_is_a_tap_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis, "__version__", "99.0")
    monkeypatch.setattr(redis.connection.AbstractConnection, "disconnect", lambda self: None)
    with pytest.raises(TapError) as error, redis_py(Recorder()):
        pass
    assert str(error.value) == (
        "redis-py 99.0 has no redis.connection.AbstractConnection._sock, so its traffic cannot be counted "
        "(tested with 5.0.8 to 8.1). Install a tested version of redis"
    )


@pytest.mark.parametrize("library", TAPS)
def test_a_library_that_is_missing_is_reported_as_not_installed(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    monkeypatch.setattr("redis_perf.taps.redis_py.find_spec", lambda name: None)
    recorder = Recorder()
    with TAPS[library][1](recorder):
        (tapped,) = recorder.trace(0).taps
    assert (tapped.name, tapped.version, tapped.problem) == (f"{library}-py", None, "not installed")


def test_the_version_found_is_reported() -> None:
    recorder = Recorder()
    with redis_py(recorder):
        (tapped,) = recorder.trace(0).taps
    assert (tapped.name, tapped.store, tapped.version) == ("redis-py", "redis", redis.__version__)


@contextmanager
def connection(url: str) -> Iterator[Any]:
    pool = redis.ConnectionPool.from_url(url)
    made = pool.make_connection()
    made.connect()
    yield made
    made.disconnect()


def ask(connection: Any) -> Any:
    connection.send_command("PING")
    return connection.read_response()


def test_a_socket_has_its_own_class_again_and_works_on(redis_url: str) -> None:
    with connection(redis_url) as open_before:
        with redis_py(Recorder()), connection(redis_url) as opened_meanwhile:
            assert ask(open_before) == b"PONG"
            sock = open_before._sock
            assert type(sock) is not socket.socket
            assert isinstance(sock, socket.socket)
            assert repr(sock).startswith("<socket.socket fd=")
            assert open_before._parser._sock is sock or open_before._parser._buffer._sock is sock
            opened_meanwhile.retry_on_error = []
            kept = opened_meanwhile._sock
            opened_meanwhile.disconnect()
            assert type(kept) is socket.socket
            opened_meanwhile.connect()
            stays = redis.Redis.from_url(redis_url)
            stays.ping()
        assert type(sock) is socket.socket
        assert open_before._sock is sock
        assert ask(open_before) == b"PONG"
        assert stays.ping()
        stays.close()


def test_asyncio_streams_have_their_own_classes_again_and_work_on(redis_url: str) -> None:
    async def main() -> None:
        client = redis.asyncio.Redis.from_url(redis_url, single_connection_client=True)
        await client.ping()
        kept = client.connection
        writer, reader = kept._writer, kept._reader
        with redis_py(Recorder()):
            await client.ping()
            assert kept._writer is writer
            assert type(writer) is not asyncio.StreamWriter
            assert type(reader) is not asyncio.StreamReader
        assert type(writer) is asyncio.StreamWriter
        assert type(reader) is asyncio.StreamReader
        assert await client.ping()
        await client.aclose()

    asyncio.run(main())


def test_a_tls_socket_can_be_listened_to() -> None:
    from redis_perf.taps.redis_py.transports import listening_socket

    listening = listening_socket(ssl.SSLSocket, {})
    with socket.socket() as plain:
        wrapped = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_socket(plain, server_hostname="localhost")
        wrapped.__class__ = listening
        assert isinstance(wrapped, ssl.SSLSocket)
        wrapped.__class__ = ssl.SSLSocket
        wrapped.close()


def test_a_socket_that_is_dropped_without_a_disconnect_is_forgotten(redis_url: str) -> None:
    gc.collect()  # connections other tests left behind would be met while they end
    recorder = Recorder()
    with redis_py(recorder):
        with connection(redis_url) as forgetful:
            forgetful.__dict__["_sock"].close()
            forgetful._parser.on_disconnect()
            del forgetful.__dict__["_sock"]
            recorder.read()
            assert [log.closed for log in recorder._logs] == [True]
            forgetful.__dict__["_sock"] = None
        assert recorder.trace(0).problems == ()


def test_a_connection_without_a_socket_yet_has_no_such_attribute() -> None:
    with redis_py(Recorder()):
        unfinished = redis.Connection.__new__(redis.Connection)
        assert not hasattr(unfinished, "_sock")
        unfinished._sock = None
        assert unfinished._sock is None
        assert not hasattr(redis.asyncio.Connection.__new__(redis.asyncio.Connection), "_writer")
