"""By which name to ask at once for what was asked again and again.

A fix is a phrase that goes before "would be 1 round trip". What a trace cannot tell is worded as a condition.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from redis_perf.trace import Store

MULTI_KEY: Final = {
    "GET": "one MGET", "SET": "one MSET", "DEL": "one DEL of all keys", "UNLINK": "one UNLINK of all keys",
    "EXISTS": "one EXISTS of all keys", "TOUCH": "one TOUCH of all keys", "JSON.GET": "one JSON.MGET",
    "JSON.SET": "one JSON.MSET",
}  # fmt: skip
ONE_KEY: Final = {
    "HGET": "one HMGET", "HSET": "one HSET of all fields", "HDEL": "one HDEL of all fields",
    "SADD": "one SADD of all members", "SREM": "one SREM of all members", "SISMEMBER": "one SMISMEMBER",
    "ZADD": "one ZADD of all members", "ZREM": "one ZREM of all members", "ZSCORE": "one ZMSCORE",
    "RPUSH": "one RPUSH of all values", "LPUSH": "one LPUSH of all values", "PFADD": "one PFADD of all elements",
}  # fmt: skip
_SCRIPTS: Final = frozenset({"EVALSHA", "EVALSHA_RO", "FCALL", "FCALL_RO"})
_SCRIPT_TEXTS: Final = frozenset({"EVAL", "EVAL_RO"})
_ORM: Final = {
    ("sqlalchemy lazy load", "SELECT"): "selectinload() or joinedload() on the query before",
    ("sqlalchemy", "SELECT"): "one select with .in_(...), or selectinload() on the query before,",
    ("sqlalchemy", "INSERT"): "one flush of add_all(), or execute(insert(...), rows), which is insertmanyvalues,",
    ("sqlalchemy", "UPDATE"): "one flush, or execute(update(...), rows),",
    ("sqlalchemy", "DELETE"): "one execute(delete(...).where(....in_(...)))",
    ("django lazy load", "SELECT"): "select_related() or prefetch_related() on the query before",
    ("django", "SELECT"): "in_bulk(), filter(...__in=...) or prefetch_related() on the query before",
    ("django", "INSERT"): "one bulk_create()",
    ("django", "UPDATE"): "one bulk_update(), or one update() of a QuerySet,",
    ("django", "DELETE"): "one delete() of a QuerySet",
}  # fmt: skip


@lru_cache(maxsize=1024)
def fix(store: Store, name: str, shape: str, *, same_key: bool | None = None, through: str | None = None) -> str:
    """What to do instead; empty if nothing is known. `same_key`: all had the same Redis key, each its own, or who knows
    (None). `through`: the ORM that sent it, see `redis_perf.trace.Path`."""
    return _redis(name, same_key) if store == "redis" else _postgres(name, shape, through)


def _redis(name: str, same_key: bool | None) -> str:
    if name in MULTI_KEY:
        return f"{MULTI_KEY[name]}, or a pipeline,"
    if name in ONE_KEY:
        condition = "if the key is the same, else a pipeline,"
        return {True: ONE_KEY[name], False: "one pipeline", None: f"{ONE_KEY[name]} {condition}"}[same_key]
    if name in _SCRIPTS:
        return "one pipeline, or one script over all keys,"
    if name in _SCRIPT_TEXTS:
        return "one pipeline of EVALSHA (SCRIPT LOAD at start), or one script over all keys,"
    return "if none needs another's reply, one pipeline"


def _postgres(name: str, shape: str, through: str | None) -> str:
    if through is not None:
        known = _ORM.get((through, name)) or _ORM.get((through.removesuffix(" lazy load"), name))
        if known:
            return known
    if name == "INSERT":
        return "one executemany (not psycopg2's), multi-row INSERT, or INSERT ... SELECT FROM unnest(...),"
    if name == "UPDATE":
        return "one UPDATE with = ANY($1), or UPDATE ... FROM unnest(...),"
    if name in ("SELECT", "DELETE") and " WHERE " in shape:
        return f"one {name} with = ANY($1)"
    return ""
