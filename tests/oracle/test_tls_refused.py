"""TLS that cannot be: said at the start where that is possible, else to each client, and the proxy lives on."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

pytest.importorskip("redis")
pytest.importorskip("trustme")

import redis

from redis_perf import ServerUnavailable
from redis_perf.certificates import Certificates
from redis_perf.proxy import Proxy

NAMELESS: dict[str, Any] = {} if redis.__version__ >= "8" else {"lib_name": None, "lib_version": None}
Terminated = Callable[..., AbstractContextManager[int]]


def error_of(url: str) -> str:
    """What a client of this Redis is told, if nothing it asks before swallows that."""
    with redis.Redis.from_url(url, retry=None, **NAMELESS) as client, pytest.raises(redis.RedisError) as caught:
        client.get("a")
    return str(caught.value)


@pytest.fixture
def expired(tmp_path: Path) -> Certificates:
    return Certificates.make(tmp_path, not_after=datetime(2020, 1, 1, tzinfo=UTC))


# --- the server's certificate


def test_an_expired_certificate_of_redis_is_a_refusal_that_says_so(
    expired: Certificates, redis_url: str, terminated: Terminated
) -> None:
    with terminated(expired, urlsplit(redis_url).port) as door:
        with Proxy(redis=f"rediss://127.0.0.1:{door}?ssl_ca_certs={expired.ca_path}") as proxy:
            for _ in range(2):
                told = error_of(proxy.url("redis"))
                assert f"TLS with 127.0.0.1:{door} failed: certificate verify failed: certificate has expired" in told
            assert any("certificate has expired" in note for note in proxy.trace().notes)
        with Proxy(redis=f"rediss://127.0.0.1:{door}?ssl_cert_reqs=none") as proxy:
            assert redis.Redis.from_url(proxy.url("redis")).ping() is True


def test_an_authority_the_url_does_not_name_is_not_trusted(terminated_redis: str, tmp_path: Path) -> None:
    other = Certificates.make(tmp_path)
    with Proxy(redis=f"{terminated_redis.partition('?')[0]}?ssl_ca_certs={other.ca_path}") as proxy:
        assert "certificate verify failed: " in error_of(proxy.url("redis"))


def test_a_host_the_certificate_does_not_name_is_refused_unless_names_do_not_matter(
    certificates: Certificates, redis_url: str, terminated: Terminated
) -> None:
    with terminated(certificates, urlsplit(redis_url).port, "127.0.0.2") as door:
        url = f"rediss://127.0.0.2:{door}?ssl_ca_certs={certificates.ca_path}"
        with Proxy(redis=url) as proxy:
            assert "IP address mismatch" in error_of(proxy.url("redis"))
        with Proxy(redis=f"{url}&ssl_check_hostname=false") as proxy:
            assert redis.Redis.from_url(proxy.url("redis")).ping() is True


@pytest.mark.parametrize("mode", ["verify-full", "verify-ca", "require"])
def test_postgres_is_verified_as_libpq_would(tls_postgres: str, tmp_path: Path, mode: str) -> None:
    """`require` too, once there is an authority to judge by."""
    url = f"{tls_postgres}?sslmode={mode}&sslrootcert={Certificates.make(tmp_path).ca_path}"
    with Proxy(postgres=url) as proxy:
        for place in (url, proxy.url("postgres"), proxy.url("postgres")):
            with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
                psycopg.connect(place)


def test_require_alone_takes_any_certificate(tls_postgres: str) -> None:
    proxy = Proxy(postgres=f"{tls_postgres}?sslmode=require")
    with proxy, psycopg.connect(proxy.url("postgres")) as connection:
        used = connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()
    assert used == (True,)


def test_a_postgres_without_tls_is_not_used_where_tls_is_required(postgres_dsn: str) -> None:
    proxy = Proxy(postgres=f"{postgres_dsn}?sslmode=require")
    with proxy, pytest.raises(psycopg.OperationalError, match="the server does not speak TLS"):
        psycopg.connect(proxy.url("postgres"))


def test_a_redis_without_tls_is_a_refusal(redis_url: str) -> None:
    with Proxy(redis=redis_url.replace("redis://", "rediss://")) as proxy:
        assert "TLS with 127.0.0.1" in error_of(proxy.url("redis"))


def test_a_server_that_leaves_within_the_handshake_is_a_refusal() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        proxy = Proxy(redis=f"rediss://127.0.0.1:{door.getsockname()[1]}")
        address = proxy.address("redis")
        assert isinstance(address, tuple)
        with proxy, socket.create_connection(address, timeout=20) as client:
            door.accept()[0].close()
            client.sendall(b"PING\r\n")
            assert b"failed: " in client.recv(1000)


def test_a_server_that_demands_a_certificate_gets_the_urls(
    certificates: Certificates, redis_url: str, terminated: Terminated
) -> None:
    with terminated(certificates, urlsplit(redis_url).port, demands=True) as door:
        url = f"rediss://127.0.0.1:{door}?ssl_ca_certs={certificates.ca_path}"
        with Proxy(redis=url) as proxy:
            assert f"TLS with 127.0.0.1:{door} failed: " in error_of(proxy.url("redis"))
        own = f"&ssl_certfile={certificates.cert_path}&ssl_keyfile={certificates.key_path}"
        with Proxy(redis=url + own) as proxy:
            assert redis.Redis.from_url(proxy.url("redis")).ping() is True


# --- what can be said at once


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("rediss://127.0.0.1?ssl_ca_certs=/no/such.pem", "redis: the authority's certificate /no/such.pem cannot be"),
        ("rediss://127.0.0.1?ssl_ca_certs=/etc/hosts", "it is no PEM that fits"),
        ("rediss://127.0.0.1?ssl_certfile=/no/such.pem", "the client certificate /no/such.pem cannot be used"),
        ("rediss://127.0.0.1?ssl_cert_reqs=maybe", "ssl_cert_reqs=maybe: expected required, optional or none"),
        ("rediss://127.0.0.1?ssl_validate_ocsp=true", "the proxy does not know ssl_validate_ocsp"),
        ("postgresql://127.0.0.1/a?sslmode=verify-full&sslrootcert=/no/such.pem", "/no/such.pem cannot be used"),
        ("postgresql://127.0.0.1/a?sslmode=verify-full", "sslrootcert names no authority"),
        ("postgresql://127.0.0.1/a?sslmode=strict", "sslmode=strict: expected disable, allow, prefer, require"),
        ("postgresql://127.0.0.1/a?sslmode=require&sslcrl=/a", "the proxy does not know sslcrl"),
        ("postgresql://127.0.0.1/a?sslnegotiation=direct", "sslnegotiation=direct needs sslmode=require"),
        ("postgresql://127.0.0.1/a?sslmode=require&sslrootcert=system", "sslrootcert=system needs sslmode=verify-full"),
    ],
)
def test_a_url_that_cannot_be_served_is_an_error_at_once(
    url: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ServerUnavailable) as caught:
        Proxy(redis=url)
    assert said in str(caught.value)


def test_without_trustme_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "trustme.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ServerUnavailable, match=r"pip install 'pytest-redisperf\[tls\]'"):
        Proxy(redis="redis://127.0.0.1", tls=True)


def test_tls_on_a_unix_socket_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ServerUnavailable, match="TLS is not spoken on a Unix socket"):
        Proxy(redis="redis://127.0.0.1", tls=True, at={"redis": str(tmp_path / "redis.sock")})


# --- the client's side


def test_a_client_without_tls_is_told_so_by_a_port_of_redis_that_speaks_it(redis_url: str) -> None:
    with Proxy(redis=redis_url, tls=True) as proxy:
        in_clear = proxy.url("redis").replace("rediss://", "redis://").partition("?")[0]
        assert "this port speaks TLS alone" in error_of(in_clear)
        assert redis.Redis.from_url(proxy.url("redis")).ping() is True
        assert any("this port speaks TLS alone" in note for note in proxy.trace().notes)


def test_a_client_that_does_not_trust_the_proxy_is_noted(redis_url: str) -> None:
    with Proxy(redis=redis_url, tls=True) as proxy:
        assert "certificate verify failed" in error_of(proxy.url("redis").partition("?")[0])
        (note,) = proxy.trace().notes
        assert note == "redis: a TLS handshake with a client failed: tlsv1 alert unknown ca"
        assert redis.Redis.from_url(proxy.url("redis")).ping() is True


def test_tls_to_a_port_in_clear_before_a_server_with_tls_is_refused(terminated_redis: str) -> None:
    with Proxy(redis=terminated_redis) as proxy:
        error_of(proxy.url("redis").replace("redis://", "rediss://"))
        (note,) = proxy.trace().notes
        assert "what came looks like TLS: connect with redis://, or have the proxy speak TLS" in note


def test_tls_to_a_port_in_clear_is_passed_on_and_what_to_do_is_said(
    terminated_redis: str, certificates: Certificates
) -> None:
    """To a server that speaks TLS after all."""
    with Proxy(redis=terminated_redis.replace("rediss://", "redis://").partition("?")[0]) as proxy:
        url = proxy.url("redis").replace("redis://", "rediss://")
        with redis.Redis.from_url(url, ssl_ca_certs=str(certificates.ca_path)) as client:
            assert client.ping() is True
        (problem,) = proxy.trace().problems
    assert "looks like TLS, not redis (the proxy can: --tls, or tls=True)" in problem


def test_words_in_clear_after_the_request_for_tls_are_not_taken_for_the_clients(tls_postgres: str) -> None:
    with Proxy(postgres=f"{tls_postgres}?sslmode=disable", tls=True) as proxy:
        address = proxy.address("postgres")
        assert isinstance(address, tuple)
        with socket.create_connection(address, timeout=20) as client:
            client.sendall(b"\0\0\0\x08\x04\xd2\x16\x2f" + b"\0\0\0\x08\0\3\0\0")
            said = b"".join(iter(lambda: client.recv(1000), b""))
    assert said[:1] == b"E"
    assert b"unencrypted data came after the request for TLS" in said


# --- commands


@contextmanager
def standing(*arguments: str) -> Iterator[str]:
    """`redisperf proxy`, and what it printed first."""
    command = [sys.executable, "-m", "redis_perf", "proxy", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
        process.terminate()


def test_redisperf_proxy_speaks_tls_when_asked(redis_url: str) -> None:
    with standing("--redis", redis_url, "--tls") as url:
        assert url.startswith("rediss://")
        with redis.Redis.from_url(url) as client:
            assert client.ping() is True


def test_redisperf_run_names_in_the_environment_whom_to_trust(redis_url: str, tls_postgres: str) -> None:
    script = """
import os, psycopg, redis
assert redis.Redis.from_url(os.environ["REDIS_URL"]).ping()
with psycopg.connect("") as connection:
    assert connection.pgconn.ssl_in_use
print(os.environ["PGSSLMODE"], os.environ["CA"] == os.environ["PGSSLROOTCERT"])
"""
    command = [sys.executable, "-m", "redis_perf", "run", "--tls", "--redis", redis_url, "--env", "CA={redis.ca}"]
    command += ["--postgres", f"{tls_postgres}?sslmode=require", "--", sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "verify-full True\n"), done.stderr
