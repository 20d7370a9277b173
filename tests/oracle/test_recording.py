"""`record()`: who is in the window, and what is loud."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import EntryPoint
from types import SimpleNamespace
from typing import Any

import pytest
import redis

import redis_perf
from redis_perf import TapError, taps
from redis_perf.recorder import Recorder


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(redis_url)
    client.ping()
    yield client
    client.close()


def test_nested_recordings_each_see_their_own_window(client: redis.Redis) -> None:
    with redis_perf.record() as outer:
        client.get("a")
        with redis_perf.record() as inner:
            client.get("b")
        client.get("c")
    assert (outer.redis.round_trips, inner.redis.round_trips) == (3, 1)


def test_recordings_that_overlap_each_see_their_own_window(client: redis.Redis) -> None:
    first, second = redis_perf.record(), redis_perf.record()
    first.__enter__()
    client.get("a")
    second.__enter__()
    client.get("b")
    first.__exit__(None, None, None)
    client.get("c")
    second.__exit__(None, None, None)
    assert (first.redis.round_trips, second.redis.round_trips) == (2, 2)


def test_a_recording_can_be_read_while_it_runs_and_is_final_afterwards(client: redis.Redis) -> None:
    with redis_perf.record() as trace:
        client.get("a")
        assert trace.redis.round_trips == 1
        client.get("b")
    client.get("c")
    assert trace.redis.round_trips == 2


def test_any_thread_is_seen_and_named(client: redis.Redis) -> None:
    with redis_perf.record() as trace:
        thread = threading.Thread(target=client.get, args=("a",), name="another")
        thread.start()
        thread.join()
    assert [trip.lane for trip in trace.redis] == ["another"]


def test_connecting_is_setup_and_the_plain_numbers_are_what_was_asked(redis_url: str) -> None:
    with redis_perf.record() as trace, redis.Redis.from_url(redis_url) as client:
        client.get("user:1")
    assert trace.redis.round_trips == 1
    assert trace.redis.shapes == ["GET user:{}"]
    assert trace.redis.connections == 1
    assert trace.setup.redis.shapes[0] == "CONNECT"
    assert trace.every.redis.round_trips == trace.setup.redis.round_trips + 1


def test_reading_a_recording_that_has_not_begun_says_how_to_use_it() -> None:
    message = "this recording has not begun: use it as `with redis_perf.record() as trace:`"
    with pytest.raises(RuntimeError) as caught:
        _ = redis_perf.record().trace
    assert str(caught.value) == message


def test_no_registered_tap_at_all_is_loud(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taps, "installed", lambda: ())
    with pytest.raises(TapError) as caught, redis_perf.record():
        pass
    assert str(caught.value) == (
        "no taps are registered under the entry-point group 'redis_perf.taps', so nothing would be counted: "
        "install the distribution (pip install pytest-redisperf); its source on the path is not enough"
    )


def test_a_tap_that_cannot_be_loaded_is_loud(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = EntryPoint(name="mine", value="no_such_module:tap", group=taps.GROUP)
    monkeypatch.setattr(taps, "installed", lambda: (broken,))
    with pytest.raises(TapError) as caught, redis_perf.record():
        pass
    assert str(caught.value) == (
        "tap 'mine' (no_such_module:tap) could not be loaded: "
        "ModuleNotFoundError(\"No module named 'no_such_module'\"); "
        "nothing would be counted: reinstall the distribution that offers it, or remove it"
    )


def test_after_a_failure_to_listen_a_later_recording_works(
    monkeypatch: pytest.MonkeyPatch, client: redis.Redis
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(taps, "installed", lambda: ())
        with pytest.raises(TapError), redis_perf.record():
            pass
    with redis_perf.record() as trace:
        client.get("a")
    assert trace.redis.round_trips == 1


@contextmanager
def misfit(recorder: Recorder) -> Iterator[None]:
    raise TapError("redis-py 99.0 has no read_response (tested with 5.0.8 to 8.1)")
    yield


def test_a_client_that_cannot_be_tapped_is_loud_and_the_error_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    point = SimpleNamespace(name="redis-py", value="x:y", load=lambda: misfit)
    monkeypatch.setattr(taps, "installed", lambda: (point,))
    with pytest.raises(TapError) as caught, redis_perf.record():
        pass
    assert str(caught.value) == (
        "redis-py 99.0 has no read_response (tested with 5.0.8 to 8.1); "
        "to leave this client uncounted set REDISPERF_WITHOUT=redis-py"
    )


def test_a_tap_that_is_left_out_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDISPERF_WITHOUT", "psycopg, valkey-py")
    names = {point.name for point in taps.installed()}
    assert "redis-py" in names
    assert not names & {"psycopg", "valkey-py"}


class Wrapped:
    """A socket in disguise."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


class Disguised(redis.Connection):
    def _connect(self) -> Any:
        return Wrapped(super()._connect())  # type: ignore[no-untyped-call]


def test_a_socket_that_cannot_be_listened_to_is_a_problem_of_the_trace(redis_url: str) -> None:
    pool = redis.ConnectionPool.from_url(redis_url, connection_class=Disguised)
    with redis_perf.record() as trace, redis.Redis(connection_pool=pool) as client:
        client.get("a")
    (problem,) = trace.trace.problems
    assert problem.store == "redis"
    assert str(problem).endswith(
        f"keeps a {__name__}.Wrapped for its socket, which cannot be listened to: count it with another kind of socket"
    )
    pool.disconnect()


def test_what_stands_in_for_the_socket_class_does_not_matter(monkeypatch: pytest.MonkeyPatch, redis_url: str) -> None:
    real = socket.socket
    monkeypatch.setattr(socket, "socket", lambda *args, **options: real(*args, **options))
    with redis_perf.record() as trace, redis.Redis.from_url(redis_url) as client:
        client.get("a")
    assert trace.redis.round_trips == 1
