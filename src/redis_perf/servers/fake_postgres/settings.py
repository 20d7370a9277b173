"""A session's settings: what SET, RESET and SHOW say, and which changes the client is told of."""

from __future__ import annotations

import re
from typing import Final

from redis_perf.servers.fake_postgres.frames import parameter_status
from redis_perf.servers.fake_postgres.lookups import VERSION
from redis_perf.servers.fake_postgres.replies import Refusal, Reply, Tag, result_set
from redis_perf.shape.sql_words import tokens

_REPORTED: Final = {
    "application_name": "", "client_encoding": "UTF8", "DateStyle": "ISO, MDY", "default_transaction_read_only": "off",
    "in_hot_standby": "off", "integer_datetimes": "on", "IntervalStyle": "postgres", "is_superuser": "on",
    "scram_iterations": "4096", "server_encoding": "UTF8", "server_version": VERSION,
    "session_authorization": "postgres", "standard_conforming_strings": "on", "TimeZone": "UTC",
}  # fmt: skip
_OTHER: Final = {
    "bytea_output": "hex", "default_transaction_deferrable": "off", "default_transaction_isolation": "read committed",
    "extra_float_digits": "1", "idle_in_transaction_session_timeout": "0", "jit": "off", "lc_collate": "C",
    "lc_ctype": "C", "lock_timeout": "0", "max_connections": "100", "max_identifier_length": "63",
    "max_index_keys": "32", "search_path": '"$user", public', "server_version_num": "160000", "statement_timeout": "0",
    "transaction_isolation": "read committed", "transaction_read_only": "off", "work_mem": "4MB",
}  # fmt: skip
_FIXED: Final = frozenset({"server_version", "server_encoding", "integer_datetimes", "is_superuser"})
_SPELLINGS: Final = {
    **{name.lower(): name for name in (*_REPORTED, *_OTHER)}, "time zone": "TimeZone",
    "transaction isolation level": "transaction_isolation", "session authorization": "session_authorization",
}  # fmt: skip
_SET: Final = re.compile(
    r"SET\s+(?:SESSION\s+|LOCAL\s+)?(?:(TIME\s+ZONE)\s+|([\w.\"]+)\s*(?:=|\bTO\b)\s*)(.+)", re.IGNORECASE | re.DOTALL
)


class Settings:
    """Not rolled back with a transaction."""

    def __init__(self) -> None:
        self._first = {**_REPORTED, **_OTHER}
        self._now = dict(self._first)

    def begin(self, asked: dict[str, str]) -> bytes:
        """The settings a start-up message asks for, and all that is reported then."""
        for name, value in asked.items():
            if name.lower() not in ("client_encoding", *_FIXED):
                self._first[_SPELLINGS.get(name.lower(), name)] = value
        self._first["session_authorization"] = asked.get("user", "postgres")
        self._now = dict(self._first)
        return b"".join(parameter_status(name, self._now[name]) for name in _REPORTED)

    def show(self, sql: str) -> Reply:
        asked = _without_comments(sql)[4:].strip().strip('"')
        if asked.lower() == "all":
            return result_set([(*each, "") for each in sorted(self._now.items())], ["name", "setting", "description"])
        known = _known(asked)
        if known not in self._now:
            return Refusal(
                "42704",
                f'unrecognized configuration parameter "{asked}"; the stand-in knows the usual ones only: '
                f'fake.on("SHOW {asked}").rows([("value",)])',
            )
        return result_set([(self._now[known],)], [(known, "text")], tag="SHOW")

    def set(self, sql: str) -> tuple[Reply, bytes]:
        """The answer to SET, and what is reported with it."""
        found = _SET.fullmatch(_without_comments(sql))
        if found is None:  # SET TRANSACTION, SET CONSTRAINTS: nothing here depends on those
            return Tag("SET"), b""
        known, value = _known(found[1] or found[2]), found[3].strip("'")
        if known == "client_encoding" and value.upper().replace("-", "") not in ("UTF8", "UNICODE", "DEFAULT"):
            return Refusal("0A000", f"the stand-in speaks UTF8 only, not {value}"), b""
        if known == "client_encoding" or value.upper() == "DEFAULT":
            value = self._first.get(known, "")
        self._now[known] = value
        return Tag("SET"), parameter_status(known, value) if known in _REPORTED else b""

    def reset(self, sql: str) -> tuple[Reply, bytes]:
        """The answer to RESET, and what is reported with it."""
        before, known = self._now, _known(_without_comments(sql)[5:].strip())
        kept = {} if known == "all" else {each: value for each, value in before.items() if each != known}
        self._now = {**self._first, **kept}
        changed = [each for each in _REPORTED if self._now[each] != before[each]]
        return Tag("RESET"), b"".join(parameter_status(each, self._now[each]) for each in changed)


def _without_comments(sql: str) -> str:
    text = "".join(" " if kind == "space" else sql[at:end] for at, end, kind in tokens(sql))
    return text.strip("; ")


def _known(name: str) -> str:
    spelled = " ".join(name.lower().replace('"', "").split())
    return _SPELLINGS.get(spelled, spelled)
