"""What each message of the client does, and what it is answered, once a session has begun.

Answers are held back until the server would send them: at a Sync, a Flush, the end of a Query, when COPY data are
asked for, or when 8 kB have gathered.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from redis_perf.servers.fake_postgres import frames
from redis_perf.servers.fake_postgres.columns import parameter_oids
from redis_perf.servers.fake_postgres.copying import CopiedRows
from redis_perf.servers.fake_postgres.engine import Engine
from redis_perf.servers.fake_postgres.frames import Body, Malformed
from redis_perf.servers.fake_postgres.portals import Portal, Prepared, missing_portal, missing_statement
from redis_perf.servers.fake_postgres.replies import CopyIn, CopyOut, Refusal, Rows, Tag
from redis_perf.shape import split_statements

BUFFER_BYTES: Final = 8192


class Dialogue:
    """`message` takes one of the client's, whole; `sent` gives what is to be sent by now."""

    def __init__(self, engine: Engine) -> None:
        self.closed = False
        self._engine = engine
        self._names = engine.names
        self._statements: deque[str] = deque()
        self._copy: CopiedRows | None = None
        self._simple = True  # the message in hand is of the simple protocol: no Sync will follow
        self._skips = False
        self._idle = False
        self._held = bytearray()
        self._out = bytearray()

    def begin(self, greeting: bytes) -> None:
        """The client is in."""
        self._send(greeting)
        self._ready()

    def sent(self) -> bytes:
        out = bytes(self._out)
        self._out.clear()
        return out

    def mail(self) -> None:
        """Notifications may have come from others."""
        if self._idle and self._engine.block.status == "I":
            self._deliver()

    def message(self, kind: str, data: bytes) -> None:
        self._idle = False
        if self._copy is not None and kind != "X":
            self._copied(self._copy, kind, data)
            return
        if self._skips and kind not in "SX":
            return
        body = Body(kind, data)
        self._simple = kind in "QF"
        match kind:
            case "Q":
                self._query(body)
            case "P":
                self._parse(body)
            case "B":
                self._bind(body)
            case "D":
                self._describe(body)
            case "E":
                self._execute(body)
            case "C":
                self._close(body)
            case "H":
                self._flush()
            case "S":
                self._skips = False
                self._ready()
            case "F":
                self.refuse(Refusal("0A000", "the stand-in has no functions to call"))
                self._ready()
            case "X":
                self.closed = True
            case "p":
                raise Malformed("a password, which nobody asked for")
        # CopyData, CopyDone and CopyFail outside a COPY are ignored, as the server does after a failed one.

    # --- simple protocol

    def _query(self, body: Body) -> None:
        sql = body.text()
        body.end()
        self._names.prepared.pop("", None)
        self._names.portals.pop("", None)
        self._statements = deque(split_statements(sql))
        if not self._statements:
            self._send(frames.EMPTY)
        self._go_on()

    def _go_on(self) -> None:
        """The statements of a query string that are left, up to one that wants data."""
        while self._statements:
            reply = self._engine.execute(self._statements.popleft())
            if isinstance(reply, Rows):
                self._send(frames.row_description(reply.columns))
            self._answer(Portal(Prepared(""), reply=reply), 0)
            if self._copy is not None or self.closed:
                return
        self._ready()

    # --- extended protocol

    def _parse(self, body: Body) -> None:
        name, sql, declared = body.text(), body.text(), body.oids()
        body.end()
        if name and name in self._names.prepared:
            self.refuse(Refusal("42P05", f'prepared statement "{name}" already exists'))
            return
        if ";" in sql and len(split_statements(sql)) > 1:
            self.refuse(Refusal("42601", "cannot insert multiple commands into a prepared statement"))
            return
        foreseen = self._engine.foresee(sql)
        if isinstance(foreseen, Refusal):
            self._engine.refused(sql)
            self.refuse(foreseen)
            return
        self._names.prepared[name] = Prepared(sql, self._types(sql, declared))
        self._send(frames.PARSED)

    def _types(self, sql: str, declared: tuple[int, ...]) -> tuple[int, ...]:
        """The types the client declared, else the script's, else those the text gives away."""
        types = list(parameter_oids(sql))
        for given in (self._engine.scripted_parameters(sql), declared):
            types += [25] * (len(given) - len(types))
            types = [new or old for new, old in zip([*given, *types[len(given) :]], types, strict=True)]
        return tuple(types)

    def _bind(self, body: Body) -> None:
        name, statement, formats = body.text(), body.text(), body.int16s()
        values = tuple(body.value() for _ in range(body.int16()))
        results = body.int16s()
        body.end()
        prepared = self._names.prepared.get(statement)
        if prepared is None:
            self.refuse(missing_statement(statement))
        elif len(values) != len(prepared.oids):
            wants = f'prepared statement "{statement}" requires {len(prepared.oids)}'
            self.refuse(Refusal("08P01", f"bind message supplies {len(values)} parameters, but {wants}"))
        elif len(formats) not in (0, 1, len(values)) or {*formats, *results} - {0, 1}:
            self.refuse(Refusal("08P01", f"bind message has parameter formats {formats} and result formats {results}"))
        elif name and name in self._names.portals:
            self.refuse(Refusal("42P03", f'cursor "{name}" already exists'))
        else:
            self._names.portals[name] = Portal(prepared, values, results)
            self._send(frames.BOUND)

    def _describe(self, body: Body) -> None:
        kind, name = body.take(1), body.text()
        body.end()
        portal = self._names.portals.get(name) if kind == b"P" else None
        prepared = portal.prepared if portal else self._names.prepared.get(name) if kind == b"S" else None
        if prepared is None:
            self.refuse(missing_statement(name) if kind == b"S" else missing_portal(name))
            return
        reply = portal.reply if portal and portal.reply is not None else self._engine.foresee(prepared.sql)
        if isinstance(reply, Refusal):
            self.refuse(reply)
            return
        if portal is None:
            self._send(frames.parameter_description(prepared.oids))
        if isinstance(reply, Rows) and prepared.sql.strip():
            prepared.described = reply.columns
            self._describe_rows(reply, portal)
        else:
            self._send(frames.NO_DATA)

    def _describe_rows(self, reply: Rows, portal: Portal | None) -> None:
        if (refusal := _bad_formats(reply, portal)) is not None:
            self.refuse(refusal)
        else:
            self._send(frames.row_description(reply.columns, portal.formats if portal else ()))

    def _execute(self, body: Body) -> None:
        name, most = body.text(), body.int32()
        body.end()
        portal = self._names.portals.get(name)
        if portal is None:
            self.refuse(missing_portal(name))
            return
        if portal.reply is not None and not isinstance(portal.reply, Rows):
            self.refuse(Refusal("55000", f'portal "{name}" cannot be run'))
            return
        if not split_statements(portal.prepared.sql):
            self._send(frames.EMPTY)
            return
        if portal.reply is None:
            prepared = portal.prepared
            portal.reply = self._engine.execute(prepared.sql, portal.values, prepared.described)
        self._answer(portal, most)

    def _close(self, body: Body) -> None:
        kind, name = body.take(1), body.text()
        body.end()
        names: dict[str, Prepared] | dict[str, Portal] = self._names.prepared if kind == b"S" else self._names.portals
        names.pop(name, None)
        self._send(frames.CLOSED)

    # --- answers

    def _answer(self, portal: Portal, most: int) -> None:
        reply = portal.reply
        match reply:
            case Refusal():
                self.refuse(reply)
            case Tag():
                self._send(frames.complete(reply.text))
            case CopyIn():
                self._copy = CopiedRows(binary=reply.binary)
                self._send(frames.copy_response(reply))
                self._flush()
            case CopyOut():
                data = frames.copy_response(reply) + frames.copy_data(reply.pieces) + frames.COPY_DONE
                self._send(data + frames.complete(f"COPY {len(reply.pieces)}"))
            case Rows():
                self._rows(reply, portal, most)

    def _rows(self, reply: Rows, portal: Portal, most: int) -> None:
        if (refusal := _bad_formats(reply, portal)) is not None:
            self.refuse(refusal)
            return
        rows, more = portal.read(most)
        for row in rows:
            self._send(frames.data_row(row, reply.columns, portal.formats))
        self._send(frames.SUSPENDED if more else frames.complete(reply.tag or f"SELECT {len(rows)}"))

    def _copied(self, copy: CopiedRows, kind: str, data: bytes) -> None:
        if kind == "d":
            copy.feed(data)
        elif kind == "c":
            self._copy = None
            self._send(frames.complete(f"COPY {copy.end()}"))
            self._copy_over()
        elif kind not in "HS":  # the server ignores those: a client may have sent them with the Execute
            self._copy = None
            reason = f"COPY from stdin failed: {Body(kind, data).text()}" if kind == "f" else ""
            wrong = f"unexpected message type {kind!r} during COPY from stdin"
            self.refuse(Refusal("57014", reason) if reason else Refusal("08P01", wrong))
            self._copy_over()

    def _copy_over(self) -> None:
        if self._simple:
            self._go_on()

    def refuse(self, refusal: Refusal) -> None:
        self._send(frames.error(refusal))
        self._engine.block.fail()
        self._statements.clear()
        self._skips = not self._simple
        if refusal.fatal:
            self.closed = True
            self._flush()

    def _ready(self) -> None:
        if self._engine.block.status == "I":
            self._engine.deliver()
        self._send(self._engine.reports)
        self._engine.reports = b""
        if self._engine.block.status == "I":
            self._deliver()
        self._send(frames.ready(self._engine.block.status))
        self._idle = True
        self._flush()

    def _deliver(self) -> None:
        self._send(b"".join(self._engine.mailbox.come))
        self._engine.mailbox.come.clear()
        self._flush()

    def _send(self, data: bytes) -> None:
        self._held += data
        if len(self._held) > BUFFER_BYTES:
            self._flush()

    def _flush(self) -> None:
        self._out += self._held
        self._held.clear()


def _bad_formats(reply: Rows, portal: Portal | None) -> Refusal | None:
    if portal is None or len(portal.formats) in (0, 1, len(reply.columns)):
        return None
    has = f"bind message has {len(portal.formats)} result formats"
    return Refusal("08P01", f"{has} but query has {len(reply.columns)} columns")
