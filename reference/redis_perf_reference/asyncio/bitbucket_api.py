"""BitbucketAPI: files, branches, directories and commits of one repository, by Bitbucket Cloud's API 2.0 over httpx.

What is not there is None. Anything else than that, be it a refusal, too many requests, a broken server or no answer at
all, is a BitbucketError. Nothing is cached here and nothing retried.

A branch with a slash in its name cannot be read from directly (its end looks like the beginning of a path): ask for its
head, and read at that commit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import quote

from redis_perf_reference.bitbucket import BitbucketError, DirectoryEntry, FileChange, RepositoryKeys

if TYPE_CHECKING:
    from httpx import AsyncClient, Response

T = TypeVar("T")
MOST_IN_A_PAGE = 100


class Content(NamedTuple):
    """A file's bytes, and the ETag by which the API knows them, if it gave one."""

    etag: str | None
    body: bytes


class BitbucketAPI:
    """`url` is https://api.bitbucket.org/2.0. Needs httpx, which is imported when this is made."""

    def __init__(
        self,
        url: str,
        username: str,
        access_token: str,
        workspace: str,
        repository: str,
        *,
        timeout_seconds: float = 10.0,
    ) -> None:
        import httpx

        self.keys = RepositoryKeys(workspace, repository)
        self._url = url.rstrip("/")
        self._base = f"{self._url}/repositories/{self.keys.path}"
        self._failures = (httpx.HTTPError, httpx.InvalidURL)
        self._http: AsyncClient = httpx.AsyncClient(
            auth=(username, access_token), timeout=timeout_seconds, follow_redirects=True
        )

    async def file(self, path: str, revision: str, known: Content | None = None) -> Content | None:
        """The file at a commit or on a branch without a slash; `known` itself if the API says that it is still so."""
        headers = {"If-None-Match": known.etag} if known and known.etag else {}
        response = await self.make_bitbucket_request(
            "GET", f"{self._base}/src/{quote(revision, safe='')}/{quote(path)}", headers=headers
        )
        if response.status_code == 304 and known:
            return known
        if response.status_code == 404 or _is_listing(response):
            return None
        return Content(response.headers.get("ETag"), response.content)

    async def directory(self, path: str, revision: str) -> list[DirectoryEntry] | None:
        """What lies in it, not deeper; all pages of it."""
        place = f"{quote(path)}/" if path else ""
        url = f"{self._base}/src/{quote(revision, safe='')}/{place}?pagelen={MOST_IN_A_PAGE}"
        entries = list[DirectoryEntry]()
        while url:
            response = await self.make_bitbucket_request("GET", url)
            if response.status_code == 404 or not _is_listing(response):
                return None
            found, following = _read(response, _page)
            entries += found
            url = self._ours(following)
        return entries

    async def branch_head(self, branch: str) -> str | None:
        """The hash of a branch's last commit."""
        response = await self.make_bitbucket_request("GET", f"{self._base}/refs/branches/{quote(branch)}")
        return None if response.status_code == 404 else _read(response, lambda branch: str(branch["target"]["hash"]))

    async def commit(
        self, branch: str, changes: Sequence[FileChange], message: str, parent_commit: str | None = None
    ) -> str | None:
        """Commits them at once, and returns the hash if the API tells it."""
        form: dict[str, Any] = {"branch": branch, "message": message}
        if parent_commit is not None:
            form["parents"] = parent_commit
        if deleted := [f"/{change.path}" for change in changes if change.content is None]:
            form["files"] = deleted
        # the slash keeps a file named "message" from being taken for the message
        files = {f"/{change.path}": (change.path, change.content) for change in changes if change.content is not None}
        response = await self.make_bitbucket_request("POST", f"{self._base}/src", data=form, files=files or None)
        if response.status_code == 404:
            raise BitbucketError("POST src: 404: there is no such repository", 404)
        return response.headers.get("Location", "").rstrip("/").rpartition("/")[2] or None

    async def make_bitbucket_request(self, method: str, url: str, **options: Any) -> Response:
        """The answer, be it 404. Raises BitbucketError for any other status from 400 on, and for no answer."""
        what = f"{method} {url.removeprefix(self._base)}"
        try:
            response = await self._http.request(method, url, **options)
        except self._failures as error:
            raise BitbucketError(f"{what}: no answer: {type(error).__name__}: {error}") from error
        if response.status_code >= 400 and response.status_code != 404:
            raise BitbucketError(f"{what}: {response.status_code}", response.status_code, _retry_after(response))
        return response

    async def close(self) -> None:
        await self._http.aclose()

    def _ours(self, url: str) -> str:
        """The next page. Our credentials go with the request, so they do not follow where a page points to."""
        if url and not url.startswith(f"{self._url}/"):
            raise BitbucketError(f"next page at {url}, which is not below {self._url}")
        return url


def _is_listing(response: Response) -> bool:
    """A directory's answer is JSON; so may a file's be, but files are attachments."""
    kind = response.headers.get("Content-Type", "").partition(";")[0]
    return kind == "application/json" and "attachment" not in response.headers.get("Content-Disposition", "")


def _read(response: Response, reader: Callable[[Any], T]) -> T:
    """What the reader makes of the JSON."""
    try:
        return reader(response.json())
    except (ValueError, KeyError, TypeError) as error:
        raise BitbucketError(f"GET {response.url.path}: not as documented: {error!r}", response.status_code) from error


def _page(page: dict[str, Any]) -> tuple[list[DirectoryEntry], str]:
    """Its entries, and where the next one is, if there is one."""
    return [_entry(value) for value in page["values"]], page.get("next", "")


def _entry(value: dict[str, Any]) -> DirectoryEntry:
    is_directory = value["type"] == "commit_directory"
    return DirectoryEntry(value["path"], is_directory, None if is_directory else value.get("size"))


def _retry_after(response: Response) -> float | None:
    with suppress(ValueError):
        return float(response.headers.get("Retry-After", ""))
    return None
