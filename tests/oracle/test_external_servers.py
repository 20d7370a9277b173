"""Servers given by URL where writing was allowed: random names only, removed again, and nothing else touched.

And the versions of the wheel's PostgreSQL, which are given by choice too.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from redis_perf import ServerUnavailable, servers
from redis_perf.servers import resp
from redis_perf.servers.external import ExternalPostgres, ExternalRedis

psycopg = pytest.importorskip("psycopg")


def ask(url: str, *commands: list[str]) -> list[resp.Reply]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return resp.ask((parts.hostname, parts.port), *commands)


def external_redis(url: str, *, writable: bool = True) -> ExternalRedis:
    server = servers.redis(url, external_writes=writable)
    assert isinstance(server, ExternalRedis)
    return server


def databases(dsn: str) -> set[str]:
    with psycopg.connect(dsn) as connection:
        return {name for (name,) in connection.execute("select datname from pg_database")}


def test_a_prefix_is_random_and_what_has_it_is_removed(redis_url: str) -> None:
    ask(redis_url, ["SET", "k", "v"])
    external = external_redis(redis_url)
    with external.prefix() as one, external.prefix() as other:
        assert one != other
        ask(redis_url, ["SET", f"{one}a", "v"], ["RPUSH", f"{other}b", "v"], ["SET", f"not {one}", "v"])
    assert sorted(ask(redis_url, ["KEYS", "*"])[0]) == [b"k", f"not {one}".encode()]  # type: ignore[arg-type]


def test_thousands_of_keys_and_keys_that_are_no_text_are_removed(redis_url: str) -> None:
    with external_redis(redis_url).prefix() as prefix:
        keys = [word for i in range(2500) for word in (f"{prefix}{i}\udcff", "v")]
        ask(redis_url, ["MSET", *keys])
        assert ask(redis_url, ["DBSIZE"]) == [2500]
    assert ask(redis_url, ["DBSIZE"]) == [0]


def test_the_database_number_of_the_url_is_where_the_prefix_is(redis_url: str) -> None:
    with external_redis(redis_url.replace("/0", "/3")).prefix() as prefix:
        ask(redis_url, ["SET", f"{prefix}a", "v"], ["SELECT", "3"], ["SET", f"{prefix}a", "v"])
    assert ask(redis_url, ["DBSIZE"], ["SELECT", "3"], ["DBSIZE"]) == [1, b"OK", 0]


def test_without_leave_nothing_is_removed(redis_url: str) -> None:
    with pytest.raises(ServerUnavailable) as caught, external_redis(redis_url, writable=False).prefix():
        pass
    assert str(caught.value) == (
        f"{redis_url} is not ours, so nothing is removed in it unless --redisperf-allow-external-writes says so "
        "(ini key redisperf_allow_external_writes = true)"
    )


def test_a_server_we_may_write_to_is_still_never_flushed(redis_url: str) -> None:
    ask(redis_url, ["SET", "k", "v"])
    with pytest.raises(ServerUnavailable, match="is not ours, so it is never flushed"):
        external_redis(redis_url).reset()
    assert ask(redis_url, ["GET", "k"]) == [b"v"]


def test_a_user_who_may_not_ask_for_the_version_may_use_the_server(redis_url: str) -> None:
    ask(redis_url, ["ACL", "SETUSER", "ada", "on", ">secret", "~*", "+@all", "-@dangerous"])
    try:
        external = external_redis(redis_url.replace("//", "//ada:secret@"))
        with pytest.raises(ServerUnavailable, match="cannot be used: the server refused INFO: NOPERM"):
            _ = external.version
    finally:
        ask(redis_url, ["ACL", "DELUSER", "ada"])


def test_a_database_is_random_and_dropped_under_whoever_is_connected(postgres_dsn: str) -> None:
    before = databases(postgres_dsn)
    external = servers.postgres(f"{postgres_dsn}?connect_timeout=9", external_writes=True)
    with external.database() as dsn:
        assert databases(postgres_dsn) - before == {urlsplit(dsn).path[1:]}
        assert urlsplit(dsn).query == "connect_timeout=9"
        connection = psycopg.connect(dsn)
        connection.execute("create table t (i int)")
    connection.close()
    assert databases(postgres_dsn) == before
    with psycopg.connect(postgres_dsn) as connection:
        assert connection.execute("select to_regclass('t')").fetchone() == (None,)


def test_a_user_who_may_not_create_databases_is_told_so(postgres_dsn: str) -> None:
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("create role ada login password 'secret'")
        try:
            parts = urlsplit(postgres_dsn)
            mine = parts._replace(netloc=f"ada:secret@{parts.hostname}:{parts.port}").geturl()
            external = servers.postgres(mine, external_writes=True)
            with pytest.raises(ServerUnavailable, match=r"ada:\*\*\*@.*refused 'CREATE DATABASE .*permission denied"):
                external.database().__enter__()
        finally:
            connection.execute("drop role ada")


def test_the_version_of_the_wheel_is_given_by_choice(postgres_server: servers.PostgresServer) -> None:
    server = servers.postgres("embedded:16")
    try:
        assert server.version.startswith("PostgreSQL 16.")
    finally:
        server.stop()


def test_a_version_the_wheel_has_not_names_those_it_has(postgres_server: servers.PostgresServer) -> None:
    with pytest.raises(ServerUnavailable, match=r"^postgres=embedded: no version 17 here; there are 16\.\d+ and 18"):
        servers.postgres("embedded:17")


@pytest.mark.skipif(not Path("/usr/lib/postgresql/15").exists(), reason="needs Debian's PostgreSQL 15")
def test_a_version_of_debians_is_given_by_choice() -> None:
    server = servers.postgres("system:15")
    try:
        assert server.version.startswith("PostgreSQL 15.")
    finally:
        server.stop()


def test_a_writable_postgres_without_leave_hands_out_itself(postgres_dsn: str) -> None:
    with ExternalPostgres(postgres_dsn).database() as dsn:
        assert dsn == postgres_dsn
