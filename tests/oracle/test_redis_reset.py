"""What a test leaves in Redis is not there for the next one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from redis_perf import servers
from redis_perf.servers.local_redis import LocalRedis

redis = pytest.importorskip("redis")

LEFT = {
    "a_setting": ["CONFIG SET maxmemory 123mb", "CONFIG SET notify-keyspace-events KEA"],
    "a_setting_hidden_by_new_statistics": ["CONFIG SET maxmemory 123mb", "CONFIG RESETSTAT"],
    "a_user": ["ACL SETUSER ada on >secret ~* +@all"],
    "a_changed_user": ["ACL SETUSER default -flushall"],
    "a_password": ["ACL SETUSER ada on >secret ~* +@all", "CONFIG SET requirepass x"],
    "keys_of_another_database": ["SELECT 7", "SET k v"],
    "scripts": ["SCRIPT LOAD return(1)"],
    "a_primary": ["REPLICAOF 127.0.0.1 1"],
    "nothing": [],
}


@pytest.fixture(params=["embedded", "system"])
def server(request: pytest.FixtureRequest) -> Iterator[LocalRedis]:
    try:
        server = servers.redis(request.param)
    except servers.ServerUnavailable as unavailable:
        pytest.skip(str(unavailable))
    assert isinstance(server, LocalRedis)
    server.reset()
    yield server
    server.stop()


def state(server: LocalRedis) -> list[object]:
    script = "SCRIPT EXISTS e0e1f9fabfc9d4800c877a703b823ac0578ff8db"
    answers = server.ask(*map(str.split, ("ACL LIST", "CONFIG GET *", "INFO keyspace", script, "ROLE")))
    users, settings, *others = answers
    assert isinstance(users, list)
    assert isinstance(settings, list)
    # Redis 7.0 says what is the default once a user was made again; settings come in any order.
    said = [user.replace(b"sanitize-payload ", b"") for user in users if isinstance(user, bytes)]
    return [*said, *sorted(map(repr, zip(settings[::2], settings[1::2], strict=True))), *others]


@pytest.mark.parametrize("left", LEFT.values(), ids=LEFT)
def test_reset_takes_back(left: list[str], server: LocalRedis) -> None:
    fresh = state(server)
    server.ask(*map(str.split, left))
    server.reset()
    *others, role = state(server)
    assert others == fresh[:-1]
    assert role == [b"master", 0, []]


def test_clients_that_were_left_are_disconnected_and_take_nothing_from_the_next_test(server: LocalRedis) -> None:
    with redis.Redis.from_url(server.url) as left, left.pubsub() as listening:
        left.ping()
        listening.subscribe("news")
        assert listening.get_message(timeout=5)["type"] == "subscribe"
        server.reset()
        clients = server.ask(["CLIENT", "LIST"])[0]
        assert isinstance(clients, bytes)
        assert clients.count(b"\n") == 1
        assert left.ping()


def test_a_reset_is_one_connection(server: LocalRedis) -> None:
    """Whose id is one more than that of the last one."""
    (before,) = server.ask(["CLIENT", "ID"])
    assert isinstance(before, int)
    server.reset()
    assert server.ask(["CLIENT", "ID"]) == [before + 2]
