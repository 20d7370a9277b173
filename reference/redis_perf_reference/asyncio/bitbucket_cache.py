"""BitbucketCache: files, branches and directories of a repository, asked for once and right after each commit.

| call                                               | Redis round trips | requests to the API                    |
|----------------------------------------------------|-------------------|----------------------------------------|
| get_file_content(_raw), list_directory, head: hit  | 1                 | 0                                      |
| ... not cached                                     | 2                 | 1, for all who ask meanwhile           |
| get_files: any number, all hits                    | 1                 | 0                                      |
| ... some not cached                                | 2                 | 1 for each of those, `at_once` at once |
| commit_file, commit_multiple_files                 | 1                 | 1                                      |
| forget_branch                                      | 1 for each 1000 keys on the server | 0                     |

What is read at a `commit` never changes and is kept for long. What is read on a branch is kept until its time, a commit
made here, or `forget_branch`; a read that was under way then does not bring the old file back. After its time a file is
asked for by its ETag. What is not there is None, for a short time of its own; refusals and broken servers are never
kept, but bridged for `stale_if_error` seconds with what was there. Text and bytes are one entry. A branch with a slash
in its name is read at its head, which is cached too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from redis_perf_reference.asyncio.batch_cache_aside import BatchCacheAside
from redis_perf_reference.asyncio.bitbucket_api import BitbucketAPI, Content
from redis_perf_reference.asyncio.client import RedisClient
from redis_perf_reference.bitbucket import (
    Committed,
    DirectoryEntry,
    NotText,
    checked_branch,
    checked_changes,
    checked_commit,
    checked_content,
    checked_directory,
    checked_paths,
    directory,
    file,
    head,
)
from redis_perf_reference.cache_input import checked_ttl
from redis_perf_reference.codec import Codec
from redis_perf_reference.observer import SILENT, Observer
from redis_perf_reference.outcomes import CacheUnavailable

WEEK_SECONDS = 7 * 86400.0


class BitbucketCache:
    """Everybody who may ask this cache is shown what the user of `api` may see.

    Let `lease_seconds` be longer than `get_files` takes for all its files.
    """

    def __init__(
        self,
        redis: RedisClient,
        api: BitbucketAPI,
        *,
        file_ttl: float = 300.0,
        branch_ttl: float = 60.0,
        directory_ttl: float = 300.0,
        commit_ttl: float = WEEK_SECONDS,
        missing_ttl: float = 30.0,
        stale_if_error: float = 600.0,
        jitter: float = 0.1,
        lease_seconds: float = 60.0,
        at_once: int = 8,
        observer: Observer = SILENT,
    ) -> None:
        self._api, self._keys, self._at_once = api, api.keys, at_once
        self._file_ttl = checked_ttl(file_ttl, "file_ttl")
        self._branch_ttl = checked_ttl(branch_ttl, "branch_ttl")
        self._directory_ttl = checked_ttl(directory_ttl, "directory_ttl")
        self._commit_ttl = checked_ttl(commit_ttl, "commit_ttl")
        self._missing_ttl = checked_ttl(missing_ttl, "missing_ttl")
        self._owed = set[str]()
        self._cache = BatchCacheAside(
            redis,
            prefix="bb",
            codec=Codec(format="msgpack"),
            jitter=jitter,
            stale_if_error=stale_if_error,
            lease_seconds=lease_seconds,
            observer=observer,
        )

    async def get_file_content(
        self, file_path: str, branch: str = "master", *, commit: str | None = None
    ) -> str | None:
        """The file as text, None if there is none. Raises NotText, BitbucketError, InvalidName."""
        body = await self.get_file_content_raw(file_path, branch, commit=commit)
        try:
            return None if body is None else body.decode()
        except UnicodeDecodeError as error:
            raise NotText(f"{file_path!r} is not UTF-8: {error.reason} at byte {error.start}") from error

    async def get_file_content_raw(
        self, file_path: str, branch: str = "master", *, commit: str | None = None
    ) -> bytes | None:
        """The file as bytes, None if there is none."""
        return (await self.get_files([file_path], branch, commit=commit))[file_path]

    async def get_files(
        self, file_paths: Iterable[str], branch: str = "master", *, commit: str | None = None
    ) -> dict[str, bytes | None]:
        """Many files as bytes, None where there is none. If some cannot be had the others are kept; one is raised."""
        revision = self._revision(branch, commit)
        checked = checked_paths(file_paths)
        keys = {path: file(revision, place) for path, place in checked.items()}
        load = partial(self._load_file, {keys[path]: place for path, place in checked.items()}, branch, commit)
        await self._tell_owed()
        found = await self._cache.get_many_with_cache(
            keys.values(),
            load,
            self._file_ttl if commit is None else self._commit_ttl,
            negative_ttl=self._missing_ttl,
            revalidate=load,
            at_once=self._at_once,
        )
        return {path: _body(found[key]) for path, key in keys.items()}

    async def get_branch_head(self, branch: str = "master") -> str | None:
        """The hash of its last commit, None if there is no such branch."""
        key = head(self._keys.branch(checked_branch(branch)))
        await self._tell_owed()
        return await self._cache.get_with_cache(
            key, lambda: self._api.branch_head(branch), self._branch_ttl, negative_ttl=self._missing_ttl
        )

    async def list_directory(
        self, path: str = "", branch: str = "master", *, commit: str | None = None
    ) -> list[DirectoryEntry] | None:
        """What lies in a directory, not deeper; None if there is none. "" is the root."""
        place = checked_directory(path)
        key = directory(self._revision(branch, commit), place)
        await self._tell_owed()
        found = await self._cache.get_with_cache(
            key,
            lambda: self._load_directory(place, branch, commit),
            self._directory_ttl if commit is None else self._commit_ttl,
            negative_ttl=self._missing_ttl,
        )
        return None if found is None else [DirectoryEntry(*entry) for entry in found]

    async def commit_file(
        self, branch: str, file_path: str, content: str | bytes, message: str, parent_commit: str | None = None
    ) -> Committed:
        """Commits one file. Raises BitbucketError, and before anything is sent InvalidName, NotText, TypeError."""
        content = checked_content(content)
        return await self.commit_multiple_files(
            branch, [{"path": file_path, "content": content}], message, parent_commit
        )

    async def commit_multiple_files(
        self, branch: str, file_changes: Iterable[Mapping[str, Any]], message: str, parent_commit: str | None = None
    ) -> Committed:
        """Commits {"path": ..., "content": text, bytes, or None to delete} at once.

        Whoever asks afterwards, in any process, is not answered with what was before: the files, the directories above
        them and the branch's head are forgotten, also where the API failed, as it may have committed all the same.
        """
        changes = checked_changes(file_changes)
        touched = self._keys.touched(checked_branch(branch), [change.path for change in changes])
        parent = None if parent_commit is None else checked_commit(parent_commit)
        try:
            commit = await self._api.commit(branch, changes, message, parent)
        finally:
            skipped = await self._forget(touched)
        return Committed(branch, commit, skipped)

    async def forget_branch(self, branch: str) -> int:
        """For others' pushes: forgets all that is on it, and says how much that was. Raises CacheUnavailable."""
        return await self._cache.delete_by_prefix(self._keys.branch(checked_branch(branch)))

    def _revision(self, branch: str, commit: str | None) -> str:
        """What the keys begin with."""
        if commit is not None:
            return self._keys.commit(checked_commit(commit))
        return self._keys.branch(checked_branch(branch))

    async def _load_file(
        self, paths: Mapping[str, str], branch: str, commit: str | None, key: str, known: list[Any] | None = None
    ) -> list[Any] | None:
        revision = commit or await self._readable(branch)
        if revision is None:
            return None
        found = await self._api.file(paths[key], revision, Content(*known) if known else None)
        return None if found is None else list(found)

    async def _load_directory(self, path: str, branch: str, commit: str | None) -> list[list[Any]] | None:
        revision = commit or await self._readable(branch)
        found = None if revision is None else await self._api.directory(path, revision)
        return None if found is None else [list(entry) for entry in found]

    async def _readable(self, branch: str) -> str | None:
        """What the API takes in place of a branch."""
        return await self.get_branch_head(branch) if "/" in branch else branch

    async def _tell_owed(self) -> None:
        """Tells Redis what it could not be told before."""
        if self._owed:
            await self._forget(())

    async def _forget(self, keys: Iterable[str]) -> str | None:
        """Why Redis does not know, None if it does."""
        self._owed.update(keys)
        owed = tuple(self._owed)
        try:
            await self._cache.delete(*owed)
        except CacheUnavailable as reason:
            self._owed.update(owed)  # another call may have told of the same keys meanwhile, but not of this change
            return str(reason)
        self._owed.difference_update(owed)
        return None


def _body(found: list[Any] | None) -> bytes | None:
    return None if found is None else found[1]
