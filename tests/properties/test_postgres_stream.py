"""Postgres: any cutting of the bytes, and of libpq's trace, gives the same trace; so do the bytes and the trace."""

import contextlib
import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from redis_perf.conversation import Conversation
from redis_perf.errors import ProtocolError
from redis_perf.wire import RECEIVED, SENT
from redis_perf.wire.libpq_trace import LibpqTraceMeter
from redis_perf.wire.postgres import PostgresMeter

SQL = st.sampled_from(
    ["select 1", "select 1; begin", "", "BEGIN", "commit", "copy t from stdin", "select '\nB\t5\tReadyForQuery\t I\n'"]
)
NAMES = st.sampled_from(["", "a", "b_1"])


def wire(kind, body=b""):
    return kind.encode() + struct.pack("!I", len(body) + 4) + body


def printed(side, name, length, text=""):
    return f"{side}\t{length}\t{name}{text}\n".encode()


def both(side, kind, name, body=b"", text=None):
    """A message on the wire and in the trace."""
    return wire(kind, body), printed(side, name, len(body) + 4, "" if text is None else "\t " + text)


def parse(name, sql):
    return both("F", "P", "Parse", f"{name}\0{sql}\0\0\0".encode(), f'"{name}" "{sql}" 0')


def bind(portal, name):
    return both("F", "B", "Bind", f"{portal}\0{name}\0".encode() + bytes(6), f'"{portal}" "{name}" 0 0 0')


def error(text):
    fields = f"SERROR\0M{text}\0\0".encode()
    return both("B", "E", "ErrorResponse", fields, f'S "ERROR" M "{text}" \\x00')


def tagged(tag):
    return both("B", "C", "CommandComplete", tag.encode() + b"\0", f'"{tag}"')


CLIENT = st.one_of(
    SQL.map(lambda sql: both("F", "Q", "Query", sql.encode() + b"\0", f'"{sql}"')),
    st.builds(parse, NAMES, SQL),
    st.builds(bind, NAMES, NAMES),
    NAMES.map(lambda name: both("F", "E", "Execute", name.encode() + bytes(5), f'"{name}" 0')),
    NAMES.map(lambda name: both("F", "D", "Describe", b"P" + name.encode() + b"\0", f'P "{name}"')),
    NAMES.map(lambda name: both("F", "C", "Close", b"S" + name.encode() + b"\0", f'S "{name}"')),
    st.just(both("F", "S", "Sync")),
    st.just(both("F", "H", "Flush")),
    st.just(both("F", "d", "CopyData", b"1\n", "'1\\x0a'")),
    st.just(both("F", "c", "CopyDone")),
)
SERVER = st.one_of(
    st.sampled_from("ITE").map(lambda status: both("B", "Z", "ReadyForQuery", status.encode(), status)),
    st.sampled_from(["SELECT 1", "BEGIN", "COMMIT", "ROLLBACK", "INSERT 0 1"]).map(tagged),
    st.sampled_from(["no", "\nB\t5\tReadyForQuery\t I\n"]).map(error),
    st.just(both("B", "1", "ParseComplete")),
    st.just(both("B", "2", "BindComplete")),
    st.just(both("B", "3", "CloseComplete")),
    st.just(both("B", "n", "NoData")),
    st.just(both("B", "s", "PortalSuspended")),
    st.just(both("B", "G", "CopyInResponse", bytes(3), "\\x00 0")),
    st.just(both("B", "D", "DataRow", bytes(2), "0")),
)
TURNS = st.lists(st.tuples(st.lists(CLIENT, max_size=6), st.lists(SERVER, max_size=8)), max_size=5)
SIZES = st.lists(st.integers(1, 40), max_size=30)


def pieces(data, sizes):
    cut, position = [], 0
    for size in sizes:
        cut.append(data[position : position + size])
        position += size
    return [piece for piece in [*cut, data[position:]] if piece]


def trips(meter_of, turns, form, sizes=()):
    """The trace of the turns, as bytes (form 0) or as libpq's text (form 1)."""
    finished = []
    conversation = Conversation("postgres", 1, finished.append)
    meter = meter_of(conversation, startup=False)
    for turn, messages in enumerate(turns):
        for direction in (SENT, RECEIVED):
            data = b"".join(message[form] for message in messages[direction])
            for piece in pieces(data, sizes):
                meter.feed(2 * turn + direction, direction, piece)
    return [*finished, *conversation.unfinished()]


@given(TURNS, SIZES)
def test_any_cutting_of_the_bytes_gives_the_same_trace(turns, sizes):
    assert trips(PostgresMeter, turns, 0, sizes) == trips(PostgresMeter, turns, 0)


@given(TURNS, SIZES)
def test_any_cutting_of_libpqs_trace_gives_the_same_trace(turns, sizes):
    assert trips(LibpqTraceMeter, turns, 1, sizes) == trips(LibpqTraceMeter, turns, 1)


@given(TURNS)
def test_the_bytes_and_libpqs_trace_of_them_give_the_same_trace(turns):
    assert trips(LibpqTraceMeter, turns, 1) == trips(PostgresMeter, turns, 0)


def refusal(meter, direction, chunks):
    try:
        for chunk in chunks:
            meter.feed(1, direction, chunk)
    except ProtocolError as error:
        return str(error)
    return None


GARBAGE = st.binary(max_size=60) | st.text("QPBESZCGDd\0\x04\x05", max_size=120).map(str.encode)


@given(st.booleans(), st.sampled_from([SENT, RECEIVED]), GARBAGE, SIZES)
def test_garbage_is_refused_at_the_same_place_however_it_is_cut(startup, direction, data, sizes):
    def seen(chunks):
        meter = PostgresMeter(Conversation("postgres", 1, [].append), startup=startup)
        return refusal(meter, direction, chunks)

    assert seen(pieces(data, sizes)) == seen(pieces(data, []))


@settings(max_examples=200)
@given(st.text('FB\t 09"\nQueryParseSync', max_size=200).map(str.encode))
def test_a_garbled_trace_ends_in_a_protocol_error_at_worst(text):
    meter = LibpqTraceMeter(Conversation("postgres", 1, [].append), startup=True)
    with contextlib.suppress(ProtocolError):
        meter.feed(1, SENT, text)
