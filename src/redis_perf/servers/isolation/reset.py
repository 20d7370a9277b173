"""A database kept from test to test: finds out what a test has left in it and takes back exactly that.

It is decided by the server's own books, not by what we saw pass:

1. Whoever is still connected is disconnected; with them go their locks, settings, temporary tables and transactions.
2. Nothing was written if the write-ahead log has not moved. (Unlogged sequences are looked at in any case.)
3. The commit log says which transactions since then were committed. If none, only sequences can have changed.
4. Rows of the system catalogs made by these transactions, or missing, mean DDL. Rows of a table made by them are
   the test's; if others are missing, the test changed what the schema had put there. DELETE, with triggers off,
   removes the test's rows, setval puts sequences back.

DDL, changed seed rows, materialised views, roles, settings, and any doubt: a new database is needed.
"""

from __future__ import annotations

from redis_perf.errors import ServerUnavailable
from redis_perf.servers.isolation import books
from redis_perf.servers.isolation.session import Row, Session

MOST_TRANSACTIONS = 1000
"""More than this in one test are not looked into."""
MOST_DELETED = 20_000
"""Deleted rows stay in the files, for nothing vacuums; after so many a new database is faster."""


class Reset:
    """The books of one kept database, opened when it is new."""

    def __init__(self, session: Session) -> None:
        """`session` is connected to it. Raises ServerUnavailable, OSError."""
        self._session = session
        relations = books.relations(session)
        self._relations = {str(each.oid): each for each in relations}
        self._unlogged_sequences = any(each.kind == "S" and each.unlogged for each in relations)
        books.prepare(session, relations)
        self._catalogs = books.changed(session, "catalogs")
        self._rows = books.changed(session, "rows")
        self._prepares = session.query("SHOW max_prepared_transactions") != [("0",)]
        self._shared = session.query("EXECUTE shared")
        self._sequences = session.query("EXECUTE sequences")
        # A sequence writes one log record for 32 values: with none of these left, the next value is in the log again.
        self._clean = self._undone(self._putting_back(self._sequences))
        unfit = session.query(books.UNFIT)
        self.doubt = str(unfit[0][0]) if unfit else ""
        """Why it cannot be cleaned, if it cannot."""

    def clean(self, spared_pid: int = 0) -> bool:
        """Take back what was left, disconnecting all but `spared_pid`. False when a new database is needed."""
        if not self.doubt:
            try:
                self.doubt = self._cleaned(spared_pid)
            except (ServerUnavailable, OSError) as error:
                self.doubt = str(error)
        return not self.doubt

    def close(self) -> None:
        """Disconnect."""
        self._session.close()

    def _cleaned(self, spared_pid: int) -> str:
        now = books.left_alone(self._session, spared_pid)
        if now.settings_file != self._clean.settings_file:
            return "ALTER SYSTEM"
        undoing: list[str] = []
        if now.log_position != self._clean.log_position:
            if self._prepares:
                books.roll_back_prepared(self._session)
            doubt = self._looked_into(now.transaction, undoing)
            if doubt:
                return doubt
        elif not self._unlogged_sequences:
            return ""
        moved = [row for row in self._session.query("EXECUTE sequences") if row not in self._sequences]
        self._clean = self._undone([*undoing, *self._putting_back(moved)])
        return f"more than {MOST_DELETED} deleted rows" if self._session.deleted > MOST_DELETED else ""

    def _looked_into(self, until: int, undoing: list[str]) -> str:
        """Finds the statements that undo what was committed, or why there are none."""
        if until - self._clean.transaction > MOST_TRANSACTIONS:
            return f"more than {MOST_TRANSACTIONS} transactions"
        committed = books.array(books.committed(self._session, self._clean.transaction, until))
        if committed == books.array(()):
            return ""
        shared, catalogs, rows = self._session.queries(
            "EXECUTE shared", f"EXECUTE catalogs ({committed})", f"EXECUTE rows ({committed})"
        )
        if shared != self._shared:
            return "changed roles, settings or privileges"
        if catalogs != self._catalogs:
            return "DDL"
        for (oid, count, made), (_, before, _) in zip(rows, self._rows, strict=True):
            relation = self._relations[str(oid)]
            if int(count or 0) - int(made or 0) != int(before or 0):
                return f"changed or deleted rows of {relation.name} that the schema had put there"
            if made != "0" and relation.kind == "m":
                return f"a refreshed materialised view, {relation.name}"
            if made != "0":
                undoing.append(f"DELETE FROM ONLY {relation.name} WHERE xmin = ANY ({committed})")
        return ""

    def _undone(self, undoing: list[str]) -> books.Mark:
        """In one transaction, triggers and rules off; the moment after it."""
        if undoing:
            self._session.send(";".join(["SET LOCAL session_replication_role = replica", *undoing]))
        return books.mark(self._session)

    def _putting_back(self, sequences: list[Row]) -> list[str]:
        states = {row[0]: row for row in self._sequences}
        return [f"SELECT setval({oid}::regclass, {states[oid][1]}, '{states[oid][2]}')" for oid, *_ in sequences]
