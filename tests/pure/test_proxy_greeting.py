"""How connections begin, message by message: TLS agreed on or not, and what of an offer of passwords is passed on."""

from __future__ import annotations

import pytest

from redis_perf.errors import ServerUnavailable
from redis_perf.proxy.asking import Offer
from redis_perf.proxy.greeting import PostgresGreeting, RedisGreeting, Step, greeting
from redis_perf.proxy.sayings import NOT_TLS, TLS_ALONE, UNENCRYPTED
from redis_perf.proxy.upstream import Upstream

SSL = b"\0\0\0\x08\x04\xd2\x16\x2f"
GSS = b"\0\0\0\x08\x04\xd2\x16\x30"
HELLO = b"\x16\x03\x01\x02\x00\x01"


def startup(**parameters: str) -> bytes:
    body = b"\0\3\0\0" + b"".join(f"{name}\0{value}\0".encode() for name, value in parameters.items()) + b"\0"
    return (4 + len(body)).to_bytes(4, "big") + body


def message(kind: bytes, body: bytes) -> bytes:
    return kind + (4 + len(body)).to_bytes(4, "big") + body


def sasl(*mechanisms: bytes) -> bytes:
    return message(b"R", b"\0\0\0\x0a" + b"".join(name + b"\0" for name in mechanisms) + b"\0")


def test_postgres_is_asked_for_tls_then_spoken_to_inside_it() -> None:
    beginning = PostgresGreeting(speaks_tls=True)
    assert beginning.feed(GSS) == Step(answers=b"N")
    assert beginning.feed(SSL) == Step(answers=b"S")
    assert beginning.feed(HELLO) == Step(handshake=HELLO)
    assert beginning.feed(startup(user="ada")) == Step(startup(user="ada"), kind="session")


def test_a_request_for_tls_comes_in_pieces() -> None:
    beginning = PostgresGreeting(speaks_tls=True)
    assert [beginning.feed(SSL[:3]), beginning.feed(SSL[3:])] == [Step(), Step(answers=b"S")]


def test_inside_tls_there_is_no_more_tls() -> None:
    beginning = PostgresGreeting(speaks_tls=True)
    beginning.feed(HELLO)
    assert beginning.feed(SSL) == Step(answers=b"N")


def test_both_requests_at_once_are_answered_in_order() -> None:
    assert PostgresGreeting().feed(GSS + SSL) == Step(answers=b"NN")
    assert PostgresGreeting(speaks_tls=True).feed(GSS + SSL) == Step(answers=b"NS")


def test_what_follows_the_request_before_its_answer_is_refused() -> None:
    assert PostgresGreeting(speaks_tls=True).feed(SSL + startup(user="eve")).refused == UNENCRYPTED


def test_tls_where_none_is_spoken_is_passed_on_as_unknown() -> None:
    assert PostgresGreeting().feed(HELLO + bytes(20)) == Step(HELLO + bytes(20), kind="unknown")


def test_a_setting_of_libpqs_does_not_reach_the_server() -> None:
    said = startup(user="ada", channel_binding="disable", database="app")
    assert PostgresGreeting().feed(said + b"more").forward == startup(user="ada", database="app") + b"more"


def test_redis_speaks_what_was_agreed_on_or_is_refused() -> None:
    secret = RedisGreeting(speaks_tls=True)
    assert secret.feed(HELLO) == Step(handshake=HELLO)
    assert secret.feed(b"PING\r\n") == Step(b"PING\r\n", kind="session")
    assert RedisGreeting(speaks_tls=True).feed(b"PING\r\n").refused == TLS_ALONE
    assert RedisGreeting(speaks_tls=False).feed(HELLO).refused == NOT_TLS
    assert RedisGreeting(speaks_tls=False).feed(b"PING\r\n") == Step(b"PING\r\n", kind="session")


def test_redis_in_clear_on_both_sides_is_not_looked_at() -> None:
    assert greeting("redis", speaks_tls=False, tls_behind=False) is None


OFFER = sasl(b"SCRAM-SHA-256-PLUS", b"SCRAM-SHA-256")
FEWER = sasl(b"SCRAM-SHA-256")


@pytest.mark.parametrize(
    ("said", "passed"),
    [
        (OFFER + b"more", FEWER + b"more"),
        (message(b"N", b"notice") + OFFER, message(b"N", b"notice") + FEWER),
        (message(b"v", b"version") + OFFER, message(b"v", b"version") + FEWER),
        (message(b"R", b"\0\0\0\x05salt") + OFFER, message(b"R", b"\0\0\0\x05salt") + OFFER),
        (message(b"E", b"fatal") + b"rest", message(b"E", b"fatal") + b"rest"),
    ],
)
def test_only_the_offer_to_bind_is_taken_out_however_it_is_cut(said: bytes, passed: bytes) -> None:
    for size in (1, 3, 1000):
        offer = Offer()
        pieces = [offer.feed(said[start : start + size]) for start in range(0, len(said), size)]
        assert b"".join(pieces) + offer.rest() == passed


CA = "/tmp/ca.pem"


@pytest.mark.parametrize(
    ("url", "in_clear", "by_tls"),
    [
        ("redis://u:p@h/1?x=1", "redis://u:p@127.0.0.1:1/1?x=1", f"rediss://u:p@127.0.0.1:1/1?x=1&ssl_ca_certs={CA}"),
        ("rediss://h/1?ssl_cert_reqs=none", "redis://127.0.0.1:1/1", f"rediss://127.0.0.1:1/1?ssl_ca_certs={CA}"),
        ("valkeys://h", "valkey://127.0.0.1:1", f"valkeys://127.0.0.1:1?ssl_ca_certs={CA}"),
        ("unix://u:p@/run/r.sock?db=2", "redis://u:p@127.0.0.1:1?db=2",
         f"rediss://u:p@127.0.0.1:1?db=2&ssl_ca_certs={CA}"),
        ("postgresql://u@h/d", "postgresql://u@127.0.0.1:1/d",
         f"postgresql://u@127.0.0.1:1/d?sslmode=verify-full&sslrootcert={CA}"),
        ("postgresql://u@h/d?sslmode=require&sslcert=a&channel_binding=require&application_name=b",
         "postgresql://u@127.0.0.1:1/d?application_name=b&sslmode=disable",
         f"postgresql://u@127.0.0.1:1/d?application_name=b&sslmode=verify-full&sslrootcert={CA}"
         "&channel_binding=disable"),
    ],
)  # fmt: skip
def test_the_url_for_clients(url: str, in_clear: str, by_tls: str) -> None:
    upstream = Upstream.parse("x", url)
    assert upstream.through(("127.0.0.1", 1)) == in_clear
    assert upstream.through(("127.0.0.1", 1), CA) == by_tls


@pytest.mark.parametrize(
    ("url", "judged"),
    [
        ("redis://h", None),
        ("rediss://h", "name"),
        ("rediss://h?ssl_cert_reqs=optional", "name"),
        ("rediss://h?ssl_check_hostname=False", "authority"),
        ("rediss://h?ssl_cert_reqs=none", "nothing"),
        ("postgresql://h", None),
        ("postgresql://h?sslmode=prefer", None),
        ("postgresql://h?sslmode=require", "nothing"),
        ("postgresql://h?sslmode=require&sslrootcert=a", "authority"),
        ("postgresql://h?sslmode=verify-ca&sslrootcert=a", "authority"),
        ("postgresql://h?sslmode=verify-full&sslrootcert=a", "name"),
        ("postgresql://h?sslrootcert=system", "name"),
        ("postgresql:///d?host=/run&sslmode=require", None),
    ],
)
def test_how_a_certificate_is_judged(url: str, judged: str | None) -> None:
    trust = Upstream.parse("x", url).tls
    assert (trust and trust.judged) == judged


def test_an_option_that_would_be_ignored_is_refused() -> None:
    with pytest.raises(ServerUnavailable, match="x: the proxy does not know ssl_ciphers; of TLS it knows"):
        Upstream.parse("x", "rediss://h?ssl_ciphers=ALL")
