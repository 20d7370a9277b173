"""What a statement does to its session, and what it is answered: by the script, by its effect, or as unscripted."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from redis_perf.servers.fake_postgres.block import FAILED, Block, controls
from redis_perf.servers.fake_postgres.mail import Mailbox, Post
from redis_perf.servers.fake_postgres.portals import Names, Portal, Prepared, identifier, missing_statement, plain_words
from redis_perf.servers.fake_postgres.replies import Column, Refusal, Reply, Rows, Tag
from redis_perf.servers.fake_postgres.script import Script
from redis_perf.servers.fake_postgres.settings import Settings
from redis_perf.servers.fake_postgres.unscripted import unscripted
from redis_perf.shape.sql_words import normalised


class Engine:
    """One session's state, whatever protocol it is spoken to in."""

    def __init__(self, script: Script, post: Post, mailbox: Mailbox) -> None:
        self.block = Block()
        self.names = Names()
        self.settings = Settings()
        self.mailbox = mailbox
        self.database = ""
        self.reports = b""
        """Settings that changed and the client has not been told of."""
        self._script = script
        self._post = post

    def execute(
        self, sql: str, values: Sequence[bytes | None] = (), described: tuple[Column, ...] | None = None
    ) -> Reply:
        """The answer. `described`: the columns the client was told of before."""
        self._script.remember(sql, values, self.database)
        words = _words(sql)
        if not self.block.allows(words):
            return FAILED
        scripted = self._script.take(sql)
        if isinstance(scripted, Refusal):
            self.block.fail(ended=words[0] in ("COMMIT", "END"))
            return scripted
        own = self._effect(words, sql)
        reply = scripted or own or unscripted(sql, values)
        return self._as_described(reply, described, scripted=scripted is not None)

    def foresee(self, sql: str) -> Reply:
        """What the answer will look like; a Refusal if the text itself is refused."""
        words = _words(sql)
        if not self.block.allows(words):
            return FAILED
        if (scripted := self._script.foresee(sql)) is not None:
            return scripted
        match words[0]:
            case "SHOW":
                return self.settings.show(sql)
            case "FETCH":
                cursor = self.names.cursor_of(sql)
                return cursor if isinstance(cursor, Refusal) else cursor.reply or Tag("FETCH 0")
            case "EXECUTE":
                prepared = self._prepared(sql)
                return prepared if isinstance(prepared, Refusal) else self.foresee(prepared.sql)
        return unscripted(sql, None)

    def refused(self, sql: str) -> None:
        """The text was refused, so this will never be executed; it was asked all the same."""
        self._script.remember(sql, (), self.database)
        if isinstance(self._script.foresee(sql), Refusal):
            self._script.take(sql)

    def scripted_parameters(self, sql: str) -> tuple[int, ...]:
        return self._script.parameters(sql) or ()

    def deliver(self) -> None:
        """The transaction has ended."""
        self.names.transaction_ended()
        self._post.deliver(self.mailbox)

    def _effect(self, words: Sequence[str], sql: str) -> Reply | None:
        if controls(words):
            if words[0] in ("ROLLBACK", "ABORT"):
                self.mailbox.leaving.clear()
            return self.block.control(words)
        match words[0]:
            case "SHOW":
                return self.settings.show(sql)
            case "SET" | "RESET":
                reply, reports = self.settings.set(sql) if words[0] == "SET" else self.settings.reset(sql)
                self.reports += reports
                return reply
            case "DISCARD":
                return self._discard(words)
            case "LISTEN" | "UNLISTEN" | "NOTIFY":
                return self._mail(words[0], plain_words(sql)[1:])
            case "PREPARE" | "EXECUTE" | "DEALLOCATE":
                return self._prepare(words[0], sql)
            case "DECLARE":
                return self._declare(sql)
            case "FETCH" | "MOVE":
                return self.names.fetch(sql, words[0])
            case "CLOSE":
                return self.names.close(sql)
        return None

    def _discard(self, words: Sequence[str]) -> Reply:
        what = " ".join(words[1:2]).upper()
        if what == "ALL":
            self.names.prepared.clear()
            self.names.portals.clear()
            self.mailbox.channels.clear()
            self.reports += self.settings.reset("RESET ALL")[1]
        return Tag(f"DISCARD {what}")

    def _mail(self, verb: str, words: Sequence[str]) -> Reply:
        channel = identifier(words[0]) if words else ""
        if verb == "LISTEN":
            self.mailbox.channels.add(channel)
        elif verb == "UNLISTEN":
            self.mailbox.unlisten(channel)
        else:
            payload = words[2][1:-1].replace("''", "'") if len(words) > 2 else ""
            self.mailbox.leaving.append((channel, payload))
        return Tag(verb)

    def _prepare(self, verb: str, sql: str) -> Reply:
        if verb == "DEALLOCATE":
            return self.names.deallocate(sql)
        if verb == "EXECUTE":
            prepared = self._prepared(sql)
            if isinstance(prepared, Refusal):
                return prepared
            scripted = self._script.take(prepared.sql)
            return unscripted(prepared.sql, ()) if scripted is None else scripted
        head, _, query = sql.partition(" AS ") if " AS " in sql else sql.partition(" as ")
        self.names.prepared[identifier(plain_words(head)[1])] = Prepared(query)
        return Tag("PREPARE")

    def _prepared(self, sql: str) -> Prepared | Refusal:
        name = identifier([*plain_words(sql), ""][1])
        return self.names.prepared.get(name) or missing_statement(name)

    def _declare(self, sql: str) -> Reply | None:
        declared = self.names.declared(sql)
        if declared is None:
            return None
        name, holds, query = declared
        scripted = self._script.take(query)
        reply = unscripted(query, ()) if scripted is None else scripted
        if not isinstance(reply, Refusal):
            self.names.portals[name] = Portal(Prepared(query), reply=reply, holds=holds)
            return Tag("DECLARE CURSOR")
        return reply

    def _as_described(self, reply: Reply, described: tuple[Column, ...] | None, *, scripted: bool) -> Reply:
        if described is None or not isinstance(reply, Rows) or reply.columns == described:
            return reply
        if not scripted and not reply.rows:
            return Rows(described, (), reply.tag)
        return Refusal("0A000", "cached plan must not change result type")


@lru_cache(maxsize=512)
def _words(sql: str) -> tuple[str, ...]:
    """Never empty: the first is upper case, whatever it is."""
    words = normalised(sql) or [""]
    return (words[0].upper(), *words[1:])
