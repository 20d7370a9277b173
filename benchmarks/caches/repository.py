"""A repository that answers at once, in the place of Bitbucket: what is left is the cache's own time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from redis_perf_reference.bitbucket import FileChange, RepositoryKeys

COMMIT = "a" * 40
BODY = b"def f(x):\n    return x\n"


class Repository:
    keys = RepositoryKeys("acme", "sdb")

    def file(self, path: str, revision: str, known: Any = None) -> tuple[None, bytes]:
        return None, BODY

    def commit(self, branch: str, changes: Iterable[FileChange], message: str, parent: str | None) -> str:
        return COMMIT


class AsyncRepository:
    keys = RepositoryKeys("acme", "async")

    async def file(self, path: str, revision: str, known: Any = None) -> tuple[None, bytes]:
        return None, BODY

    async def commit(self, branch: str, changes: Iterable[FileChange], message: str, parent: str | None) -> str:
        return COMMIT
