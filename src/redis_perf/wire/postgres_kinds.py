"""What the messages of Postgres are called here that have no type letter, and how much of the others is kept."""

from __future__ import annotations

from typing import Final

STARTUP: Final = "startup"
SSL_REQUEST: Final = "ssl"
GSS_REQUEST: Final = "gss"
CANCEL_REQUEST: Final = "cancel"
SILENT: Final = frozenset({"X", CANCEL_REQUEST})
"""What a client sends without any answer: not part of any round trip."""

MAX_SQL_BYTES: Final = 64 * 1024
NAMES_BYTES: Final = 1024
"""How much of a statement, and of what names a portal or prepared statement, is kept at most."""
