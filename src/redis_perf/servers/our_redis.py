"""What a Redis of ours can be brought back to and put under, wherever it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from redis_perf.servers.conditions import Condition, Conditions, full_memory, replica_of_nobody
from redis_perf.servers.isolation.redis_reset import RedisReset
from redis_perf.servers.resp import Then, nothing

if TYPE_CHECKING:
    from redis_perf.servers.resp import Reply


class OurRedis:
    """`ask` sends it a pipeline as somebody who may do everything."""

    owned = True
    fake = False
    version: str
    _conditions: Conditions
    _reset: RedisReset | None = None

    def ask(self, *commands: Sequence[str], then: Then = nothing) -> list[Reply]:
        """The replies, see `resp.ask`. Raises ServerUnavailable."""
        raise NotImplementedError

    def look(self) -> None:
        """See what it is like, which must be before it is used. Raises ServerUnavailable when it does not answer."""
        if self._reset is None:
            self._reset = RedisReset(self.ask, self.version)

    def fill_memory(self) -> Condition:
        """Writes are answered with -OOM: `maxmemory 1` and `noeviction`, until the condition ends."""
        return self._conditions.begun(full_memory(self.ask))

    def read_only(self) -> Condition:
        """Writes are answered with -READONLY: it is the replica of nobody, until the condition ends. Data stays.

        Raises ServerUnavailable for a node of a Redis Cluster, which refuses to be that.
        """
        return self._conditions.begun(replica_of_nobody(self.ask))

    def _as_before(self) -> None:
        self.look()
        assert self._reset is not None
        self._reset()
