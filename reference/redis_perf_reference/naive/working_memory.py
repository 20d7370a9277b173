"""The working memory as it was found, ported faithfully to be measured. Do not copy it: these are its bugs.

Costs: a push is three Redis commands in a row, each waiting for the one before; a flush is one INSERT per turn (in
autocommit, as its Postgres client worked: 20 turns, 20 round trips); clearing is two DELs.

Losses: `flush` swallows the insert's error and deletes the turns all the same; a turn pushed between LRANGE and DEL
is deleted unsaved; one undecodable turn, or one NUL character, gives up on all turns after it, and they are deleted;
the summary is deleted and was never saved. Errors of Redis are dropped without a word.

Doubles: the table has no key, so ON CONFLICT never conflicts; a retried push is in the list twice. Mix-ups: the user
id is stored as the session id; `turn_id integer` overflows for ids in milliseconds. A crash between RPUSH and EXPIRE
leaves a list that never expires. `turns` and `summary` lie in different Cluster slots.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from psycopg import Connection

MAX_TURNS = 20
TTL_SECONDS = 3600

SCHEMA = """
CREATE TABLE IF NOT EXISTS naive_messages (
    turn_id int, session_id text, role text, content text, channel_id text, created_at timestamptz, token_count int
)
"""
INSERT = """
INSERT INTO naive_messages (turn_id, session_id, role, content, channel_id, created_at, token_count)
VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True)
class NaiveTurn:
    turn_id: int
    role: str
    content: str
    channel_id: str
    timestamp: str
    token_count: int


class NaiveWorkingMemory:
    """`postgres` is a connection in autocommit mode, `redis` a redis-py client."""

    def __init__(self, redis: Any, postgres: Connection[Any]) -> None:
        self._redis = redis
        self._postgres = postgres

    def push_turn(self, user_id: str, turn: NaiveTurn) -> None:
        self._insert(user_id, turn)
        with suppress(Exception):
            key = f"axel:working:{user_id}:turns"
            self._redis.rpush(key, json.dumps(asdict(turn)))
            self._redis.ltrim(key, -MAX_TURNS, -1)
            self._redis.expire(key, TTL_SECONDS)

    def flush(self, user_id: str) -> None:
        with suppress(Exception):
            for serialized in self._redis.lrange(f"axel:working:{user_id}:turns", 0, -1):
                self._insert(user_id, NaiveTurn(**json.loads(serialized)))
        self.clear(user_id)

    def clear(self, user_id: str) -> None:
        with suppress(Exception):
            self._redis.delete(f"axel:working:{user_id}:turns")
            self._redis.delete(f"axel:working:{user_id}:summary")

    def _insert(self, user_id: str, turn: NaiveTurn) -> None:
        values = (turn.turn_id, user_id, turn.role, turn.content, turn.channel_id, turn.timestamp, turn.token_count)
        self._postgres.execute(INSERT, values)
