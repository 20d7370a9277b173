# Generated from ../asyncio/working_memory.py by tools/sync_twins.py: change that file, then run the tool.
"""WorkingMemory: what a conversation needs at hand. Postgres holds every turn, Redis the user's last few.

| call                     | Postgres | Redis | round trips                                          |
|--------------------------|----------|-------|------------------------------------------------------|
| push_turn, push_turns    | 1        | 1     | for any number of turns                              |
| history, summary: hit    | 0        | 1     |                                                      |
| history, summary: miss   | 1        | 2     | read, refill                                         |
| set_summary              | 1        | 1     |                                                      |
| flush                    | 1        | 2     | for each `flush_chunk` turns: read, remove the saved |
| clear                    | 0        | 1     |                                                      |
| delete_user              | 1        | 1     |                                                      |

A server that does not know a script yet costs one more, once. Postgres comes first: what it did not take raises
psycopg's error and never reaches Redis. Redis is an aid: when it is away, pushes say so (`Pushed.skipped`) and reads
are answered by Postgres.

A cached list names gaps in itself (see `entry`), so an expired, trimmed or interrupted one is refilled, not believed.
One thing it cannot show: when a process dies, or loses Redis, between its two writes, other processes miss that turn
until the user's next one, at most for `ttl_seconds`, which only writes prolong.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from redis_perf_reference.behind import Behind
from redis_perf_reference.breaker import Breaker, ConsecutiveFailures
from redis_perf_reference.entry import Entry, decode, decoded, encode
from redis_perf_reference.keys import Keys, keys_of
from redis_perf_reference.outcomes import CacheUnavailable, Flushed, NotFlushed, Pushed
from redis_perf_reference.summary import decode_summary, encode_summary
from redis_perf_reference.sync.cache import Cache, Commands
from redis_perf_reference.sync.messages import Messages
from redis_perf_reference.sync.postgres import Postgres
from redis_perf_reference.turn import Turn, storable
from redis_perf_reference.window import Window

GONE_MS = 60_000  # longer than any refill that began before a user was deleted can take
JUST_DELETED = "the user was deleted less than a minute ago"


class WorkingMemory:
    """Keeps the last `max_turns` turns of each user in Redis until `ttl_seconds` after the last write."""

    def __init__(
        self,
        redis: Commands,
        postgres: Postgres,
        *,
        max_turns: int = 50,
        ttl_seconds: float = 3600,
        flush_chunk: int = 1000,
        prefix: str = "working",
        breaker: Breaker | None = None,
    ) -> None:
        if min(max_turns, flush_chunk, ttl_seconds) <= 0:
            raise ValueError(f"{max_turns=}, {ttl_seconds=}, {flush_chunk=}: all must be above 0")
        self._messages = Messages(postgres)
        self._cache = Cache(redis, breaker or ConsecutiveFailures())
        self._behind = Behind()
        self._max_turns = max_turns
        self._ttl_ms = max(1, round(ttl_seconds * 1000))
        self._flush_chunk = flush_chunk
        self._prefix = prefix

    def push_turn(self, user_id: str, session_id: str, turn: Turn) -> Pushed:
        return self.push_turns(user_id, session_id, [turn])

    def push_turns(self, user_id: str, session_id: str, turns: Sequence[Turn]) -> Pushed:
        """Saves turns in the order given; pushing a turn again changes nothing.

        Raises psycopg.Error if Postgres did not confirm (push the same turns again, they will not double), and
        TurnConflict if an id stands for something else already.
        """
        keys = self._keys(user_id)
        if not turns:
            return Pushed()
        try:
            with self._behind.unless_finished(keys.turns):
                entries = self._messages.save(user_id, storable("session_id", session_id), turns)
                written = self._put(keys, entries)
        except CacheUnavailable as reason:
            return Pushed(skipped=str(reason))
        return Pushed(skipped=None if written else JUST_DELETED)

    def history(
        self,
        user_id: str,
        session_id: str | None = None,
        *,
        last_turns: int | None = None,
        last_tokens: int | None = None,
    ) -> list[Turn]:
        """The last `last_turns` turns (`max_turns` if not said), oldest first; of one session, or of all.

        With `last_tokens`, only the last of these whose token counts add up to no more than that.
        Raises psycopg.Error if Redis has not all of them and Postgres does not answer.
        """
        keys = self._keys(user_id)
        window = Window(self._max_turns if last_turns is None else last_turns, last_tokens, session_id)
        mark = self._behind.mark_of(keys.turns)
        try:
            cached = [] if mark else decoded(self._cache.ask("LRANGE", keys.turns, window.first_index, -1))
        except CacheUnavailable:
            return window.of(self._messages.last(user_id, window, 0))
        turns = window.in_cache(cached)
        if turns is not None:
            return turns
        entries = self._messages.last(user_id, window, self._max_turns)
        self._refill(keys, entries[-self._max_turns :], cached, mark)
        return window.of(entries)

    def summary(self, user_id: str) -> str | None:
        """The user's summary, None if there is none."""
        keys = self._keys(user_id)
        mark = self._behind.mark_of(keys.summary)
        try:
            cached = None if mark else decode_summary(self._cache.ask("GET", keys.summary))
        except CacheUnavailable:
            saved = self._messages.summary(user_id)
            return saved[0] if saved else None
        if cached is not None:
            return cached
        saved = self._messages.summary(user_id)
        if saved is None:
            return None
        self._refill_summary(keys, *saved, mark)
        return saved[0]

    def set_summary(self, user_id: str, summary: str) -> Pushed:
        """Saves the summary in Postgres, then in Redis."""
        keys = self._keys(user_id)
        try:
            with self._behind.unless_finished(keys.summary):
                version = self._messages.set_summary(user_id, storable("summary", summary))
                written = self._put_summary(keys, summary, version)
        except CacheUnavailable as reason:
            return Pushed(skipped=str(reason))
        return Pushed(skipped=None if written else JUST_DELETED)

    def flush(self, user_id: str) -> Flushed:
        """Takes the user's turns out of Redis once Postgres has each of them, such as at the end of a conversation.

        Turns pushed meanwhile stay. What cannot be read goes to the aside list (`set_aside`), the rest is flushed.
        Raises NotFlushed if Postgres did not take them, CacheUnavailable if Redis did not answer; turns stay in Redis
        until both have, and flushing again doubles nothing.
        """
        keys, total = self._keys(user_id), Flushed()
        while True:
            raws = self._cache.ask("LRANGE", keys.turns, 0, self._flush_chunk)
            if raws:
                total += self._flush_chunk_of(user_id, keys, raws[: self._flush_chunk])
            if len(raws) <= self._flush_chunk:
                return total

    def set_aside(self, user_id: str) -> list[bytes]:
        """What flushes could not read, as it was. Raises CacheUnavailable."""
        return list(self._cache.ask("LRANGE", self._keys(user_id).aside, 0, -1))

    def clear(self, user_id: str) -> None:
        """Frees the user's memory in Redis; Postgres keeps everything, and a later `history` reads it again.

        Raises CacheUnavailable.
        """
        keys = self._keys(user_id)
        self._cache.ask("UNLINK", keys.turns, keys.summary)

    def delete_user(self, user_id: str) -> int:
        """Deletes the user's turns and summary everywhere, and returns how many turns Postgres had.

        Raises psycopg.Error, or CacheUnavailable once Postgres has deleted them: call it again. What is cached within
        the next minute is refused. Let no flush of this user run: it could save again what it read before.
        """
        keys = self._keys(user_id)
        deleted = self._messages.delete_user(user_id)
        self._cache.run("forget", (keys.turns, keys.summary, keys.aside, keys.gone), GONE_MS)
        return deleted

    def _keys(self, user_id: str) -> Keys:
        return keys_of(self._prefix, user_id)

    def _put(self, keys: Keys, entries: Sequence[Entry]) -> bool:
        lines = [encode(entry) for entry in entries[-self._max_turns :]]
        return bool(self._cache.run("push", (keys.turns, keys.gone), self._max_turns, self._ttl_ms, *lines))

    def _put_summary(self, keys: Keys, summary: str, version: int) -> bool:
        line = encode_summary(summary, version)
        return bool(self._cache.run("remember", (keys.summary, keys.gone), version, self._ttl_ms, line))

    def _refill(self, keys: Keys, entries: Sequence[Entry], cached: Sequence[Entry], mark: object) -> None:
        """Adds what the cached list lacks; nothing in it is replaced, it may be newer than what was just read."""
        there = {entry.position for entry in cached}
        missing = [entry for entry in entries if entry.position not in there]
        try:
            if missing:
                self._put(keys, missing)
        except CacheUnavailable:
            return  # said by the cache's log; the reader has its answer, and the next reader tries again
        self._behind.caught_up(keys.turns, mark)

    def _refill_summary(self, keys: Keys, summary: str, version: int, mark: object) -> None:
        try:
            self._put_summary(keys, summary, version)
        except CacheUnavailable:
            return
        self._behind.caught_up(keys.summary, mark)

    def _flush_chunk_of(self, user_id: str, keys: Keys, raws: Sequence[bytes]) -> Flushed:
        read = [(raw, decode(raw)) for raw in raws]
        unreadable = [raw for raw, entry in read if entry is None]
        entries = [entry for _, entry in read if entry is not None]
        try:
            added = self._messages.add_missing(user_id, entries) if entries else 0
        except psycopg.Error as error:
            raise NotFlushed(user_id, len(entries), error) from error
        positions = [str(entry.position) for entry in entries]
        self._cache.run("remove_flushed", (keys.turns, keys.aside), len(unreadable), *unreadable, *positions)
        return Flushed(added, len(entries) - added, len(unreadable))
