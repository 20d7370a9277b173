"""A user's summary in the JSON form in which Redis holds it; the version comes first, where the script looks for it."""

from __future__ import annotations

import json


def encode_summary(summary: str, version: int) -> bytes:
    return json.dumps({"version": version, "summary": summary}, ensure_ascii=False, separators=(",", ":")).encode()


def decode_summary(raw: bytes | None) -> str | None:
    """The summary, or None if there is none or it cannot be read (then Postgres is asked)."""
    try:
        summary = json.loads(raw)["summary"] if raw is not None else None
    except (ValueError, KeyError, TypeError):
        return None
    return summary if isinstance(summary, str) else None
