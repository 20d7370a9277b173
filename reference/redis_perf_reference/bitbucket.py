"""A repository on Bitbucket: what its files, branches and commits may be called, and under which keys they are kept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote

_COMMIT = re.compile(r"[0-9a-f]{40}")
_ODD_PART = re.compile(r"(?:^|/)\.{0,2}(?:/|\Z)")
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_.~/-]*")
_NOT_IN_BRANCH = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(?:/|$)|^[/.-]|[/.]$")


class InvalidName(ValueError):
    """No path, branch, commit, workspace or repository. The message begins with the argument's name."""


class NotText(ValueError):
    """This is not UTF-8: read and commit it as bytes. Guessing would change a file when it is committed again."""


class BitbucketError(Exception):
    """The API did not do it. `status` is its HTTP status, None if there was no answer: then it may have done it all the
    same. `retry_after_seconds` is what it asked for (with 429), if it did."""

    def __init__(self, what: str, status: int | None = None, retry_after_seconds: float | None = None) -> None:
        super().__init__(what)
        self.status = status
        self.retry_after_seconds = retry_after_seconds


class DirectoryEntry(NamedTuple):
    """What lies in a directory. `path` leads from the root; `size` in bytes is None for a directory."""

    path: str
    is_directory: bool
    size: int | None


@dataclass(frozen=True, slots=True)
class Committed:
    """`commit` is the new commit's hash, if the API told. `skipped` says why the cache was not told, None if it was:
    others may read the old files until these expire; this process tells the cache again before its next read."""

    branch: str
    commit: str | None
    skipped: str | None = None


class FileChange(NamedTuple):
    """`content` is None to delete the file."""

    path: str
    content: bytes | None


class RepositoryKeys:
    """Keys of one repository, all in one Cluster slot. No name can pass for another: each is quoted.

    Raises InvalidName.
    """

    def __init__(self, workspace: str, repository: str) -> None:
        names = (("workspace", workspace), ("repository", repository))
        self.path = "/".join(_quoted(_checked(value, name), name) for name, value in names)

    def branch(self, branch: str) -> str:
        """What the keys of all that is on a branch begin with."""
        return f"{{{self.path}}}:branch={_quoted(branch, 'branch')}:"

    def commit(self, commit: str) -> str:
        """And at a commit, where nothing ever changes."""
        return f"{{{self.path}}}:commit={commit}:"

    def touched(self, branch: str, paths: Iterable[str]) -> list[str]:
        """All keys of what is not as it was after a commit to these paths."""
        revision, files, directories = self.branch(branch), dict.fromkeys(paths), dict[str, None]()
        for path in files:
            above = path.rpartition("/")[0]
            while above not in directories:  # nor is what is above it, then
                directories[above] = None
                above = above.rpartition("/")[0]
        names = [head(revision), *(file(revision, path) for path in files)]
        return names + [directory(revision, path) for path in directories]


def head(revision: str) -> str:
    return f"{revision}head"


def file(revision: str, path: str) -> str:
    return f"{revision}file:{_quoted_path(path)}"


def directory(revision: str, path: str) -> str:
    return f"{revision}dir:{_quoted_path(path)}"


def checked_path(path: str, name: str = "file_path") -> str:
    """Without a slash before it. Raises InvalidName for what has more than one spelling."""
    relative = _text(path, name).removeprefix("/")
    if _ODD_PART.search(relative):
        raise InvalidName(f"{name} is {path!r}, must be a path from the root without empty parts, . and ..")
    if not relative.isascii():
        _quoted(relative, name)
    return relative


def checked_directory(path: str, name: str = "path") -> str:
    """The empty string for the root. Raises as `checked_path`."""
    return checked_path(path.removesuffix("/"), name) if _text(path, name).strip("/") else ""


def checked_branch(branch: str) -> str:
    """Raises InvalidName for what git takes as no name of a branch."""
    if not _text(branch, "branch") or _NOT_IN_BRANCH.search(branch):
        raise InvalidName(f"branch is {branch!r}, must be a name that git allows")
    return branch


def checked_commit(commit: str) -> str:
    """Raises InvalidName for a hash that is not whole: a short one may come to mean another commit."""
    if not _COMMIT.fullmatch(_text(commit, "commit")):
        raise InvalidName(f"commit is {commit!r}, must be all 40 digits of a hash")
    return commit


def checked_changes(changes: Iterable[Mapping[str, Any]], name: str = "file_changes") -> list[FileChange]:
    """Of {"path": ..., "content": text, bytes, or None}. Raises InvalidName, TypeError, NotText."""
    checked = [_change(change, f"{name}[{index}]") for index, change in enumerate(changes)]
    if not checked:
        raise InvalidName(f"{name} is empty")
    return checked


def checked_paths(paths: Iterable[str], name: str = "file_paths") -> dict[str, str]:
    """Each with `checked_path` of it. Raises TypeError for one text, whose characters would be taken for paths."""
    if isinstance(paths, str):
        raise TypeError(f"{name} is str, must be several, such as a list")
    return {path: checked_path(path) for path in paths}


def _change(change: object, name: str) -> FileChange:
    if not isinstance(change, Mapping):
        raise TypeError(f"{name} is {type(change).__name__}, must be a mapping")
    path, content = change.get("path", ""), change.get("content", ...)
    body = None if content is None else checked_content(content, f"{name}['content']")
    return FileChange(checked_path(path, f"{name}['path']"), body)


def checked_content(content: object, name: str = "content") -> bytes:
    """Raises TypeError for what is neither str nor bytes, NotText for a str without a UTF-8 form."""
    if isinstance(content, bytes):
        return content
    if not isinstance(content, str):
        raise TypeError(f"{name} is {type(content).__name__}, must be str or bytes")
    try:
        return content.encode()
    except UnicodeEncodeError as error:
        raise NotText(f"{name} has no UTF-8 form: {error.reason} at character {error.start}") from error


def _checked(value: str, name: str) -> str:
    if not _text(value, name).strip("."):
        raise InvalidName(f"{name} is {value!r}, must be a name")
    return value


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise InvalidName(f"{name} is {type(value).__name__}, must be str")
    return value


def _quoted_path(path: str) -> str:
    """`quote`, in a fifth of the time for what nearly all paths are made of."""
    return path if _PLAIN_PATH.fullmatch(path) else quote(path)


def _quoted(value: str, name: str) -> str:
    try:
        return quote(value, safe="")
    except UnicodeEncodeError:
        raise InvalidName(f"{name} is {value!r}, which has no UTF-8 form") from None
