"""Which round trips asked with the same arguments, as far as the wire showed them whole."""

from __future__ import annotations

from struct import pack

import pytest

from redis_perf.conversation import Conversation
from redis_perf.trace import RoundTrip
from redis_perf.wire import RECEIVED, SENT
from redis_perf.wire.libpq_trace import LibpqTraceMeter
from redis_perf.wire.postgres import PostgresMeter
from redis_perf.wire.resp import RespMeter


def redis(*commands: list[bytes]) -> list[RoundTrip]:
    trips: list[RoundTrip] = []
    conversation = Conversation("redis", 1, trips.append)
    meter = RespMeter(conversation, startup=False)
    for argv in commands:
        meter.feed(1, SENT, b"*%d\r\n" % len(argv) + b"".join(b"$%d\r\n%s\r\n" % (len(each), each) for each in argv))
        meter.feed(2, RECEIVED, b"$-1\r\n")
    return [*trips, *conversation.unfinished()]


def test_commands_are_the_same_by_all_their_arguments_and_by_their_key() -> None:
    one, two, same, field = redis(
        [b"HGET", b"a", b"x"], [b"HGET", b"b", b"x"], [b"HGET", b"a", b"x"], [b"HGET", b"a", b"y"]
    )
    assert one.arguments == same.arguments
    assert len({one.arguments, two.arguments, field.arguments}) == 3
    assert (one.key == field.key, one.key == two.key) == (True, False)


def test_a_command_without_arguments_has_no_key() -> None:
    (ping,) = redis([b"PING"])
    assert (ping.arguments is None, ping.key) == (False, None)


@pytest.mark.parametrize("argv", [[b"SET", b"a", b"x" * 256], [b"MGET", *[b"a"] * 64]])
def test_what_was_not_kept_whole_is_not_compared(argv: list[bytes]) -> None:
    (trip,) = redis(argv)
    assert trip.arguments is None
    assert trip.key is not None


def test_arguments_are_no_part_of_what_was_asked() -> None:
    one, two = redis([b"GET", b"user:1"], [b"GET", b"user:2"])
    assert one.operations == two.operations
    assert "arguments" not in repr(one)


def message(kind: bytes, body: bytes) -> bytes:
    return kind + pack("!I", len(body) + 4) + body


READY = message(b"C", b"SELECT 1\0") + message(b"Z", b"I")


def postgres(*sent: bytes) -> list[RoundTrip]:
    trips: list[RoundTrip] = []
    conversation = Conversation("postgres", 1, trips.append)
    meter = PostgresMeter(conversation, startup=False)
    for data in sent:
        meter.feed(1, SENT, data)
        meter.feed(2, RECEIVED, READY)
    return [*trips, *conversation.unfinished()]


def extended(sql: bytes, *values: bytes, name: bytes = b"") -> bytes:
    parameters = pack("!H", 0) + pack("!H", len(values)) + b"".join(pack("!I", len(each)) + each for each in values)
    bind = b"\0" + name + b"\0" + parameters + pack("!H", 0)
    parse = message(b"P", name + b"\0" + sql + b"\0" + pack("!H", 0)) if sql else b""
    return parse + message(b"B", bind) + message(b"E", b"\0" + pack("!I", 0)) + message(b"S", b"")


def test_a_simple_query_is_the_same_by_its_text() -> None:
    texts = (b"select 1", b"select 2", b"select 1")
    one, two, same = postgres(*(message(b"Q", text + b"\0") for text in texts))
    assert (one.arguments == same.arguments, one.arguments == two.arguments) == (True, False)
    assert one.key is None


def test_a_statement_is_the_same_by_its_text_and_its_parameters() -> None:
    one, two, same, other = postgres(
        extended(b"select $1", b"1"),
        extended(b"select $1", b"2"),
        extended(b"select $1", b"1"),
        extended(b"select -$1", b"1"),
    )
    assert one.arguments == same.arguments
    assert len({one.arguments, two.arguments, other.arguments}) == 3


def test_preparing_a_statement_changes_nothing() -> None:
    plain, named, again = postgres(
        extended(b"select $1", b"1"), extended(b"select $1", b"1", name=b"s1"), extended(b"", b"1", name=b"s1")
    )
    assert plain.arguments == named.arguments == again.arguments


@pytest.mark.parametrize(
    "sent",
    [
        extended(b"select $1", b"x" * 2000),
        extended(b"", b"1", name=b"from before"),
        message(b"Q", b"select 1; select 2\0"),
        message(b"Q", b"select '" + b"x" * 70_000 + b"'\0"),
    ],
)
def test_statements_that_were_not_seen_whole_are_not_compared(sent: bytes) -> None:
    (trip,) = postgres(sent)
    assert trip.arguments is None


def libpq(value: str) -> bytes:
    return (
        'F\t20\tParse\t "" "select $1" 0\n'
        f'F\t20\tBind\t "" "" 0 1 {len(value)} \'{value}\' 0\n'
        'F\t9\tExecute\t "" 0\n'
        "F\t4\tSync\n"
    ).encode()


def test_libpqs_trace_shows_parameters_too() -> None:
    trips: list[RoundTrip] = []
    conversation = Conversation("postgres", 1, trips.append)
    meter = LibpqTraceMeter(conversation, startup=False)
    for value in ("1", "2", "1"):
        meter.feed(1, SENT, libpq(value))
        meter.feed(2, RECEIVED, b'B\t13\tCommandComplete\t "SELECT 1"\nB\t5\tReadyForQuery\t I\n')
    one, two, same = [*trips, *conversation.unfinished()]
    assert one.arguments is not None
    assert (one.arguments == same.arguments, one.arguments == two.arguments) == (True, False)
