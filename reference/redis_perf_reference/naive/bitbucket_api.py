"""A cache of Bitbucket's files as it was found, ported faithfully to be measured. Do not copy it: its bugs are

in what it answers: a commit clears the text and the bytes of a file, not the directories above it nor the branch's
head. A reader that was fetching meanwhile puts the old file back, for five minutes. Names are joined as they are, so
"/a" and "a" are two files, of which a commit clears one. An empty file is never a hit, a missing one never kept.

in what it costs: N files are N round trips. Text and bytes are fetched and kept twice, the bytes as base64, a third
larger. 20 who ask at once are 20 requests, of 1000 an hour. An ETag is not looked at. An error of Redis during a read
is one of the read.
"""

from __future__ import annotations

import base64
import json
from typing import Any


class NaiveBitbucketAPI:
    """`redis` is a redis-py client that decodes responses, `http` an httpx.Client."""

    def __init__(self, redis: Any, http: Any, url: str, workspace: str, repository: str) -> None:
        self._redis, self._http = redis, http
        self.workspace, self.repository = workspace, repository
        self.repo_base = f"{url}/repositories/{workspace}/{repository}"
        self.cache_ttl_file, self.cache_ttl_branch, self.cache_ttl_directory = 300, 60, 300

    def get_file_content(self, file_path: str, branch: str = "master") -> str | None:
        key = self._get_cache_key("file", branch, file_path)
        cached = self._redis.get(key)
        if cached:
            return str(cached)
        response = self.make_bitbucket_request(f"{self.repo_base}/src/{branch}/{file_path}")
        if response.status_code == 404:
            return None
        response.raise_for_status()
        content: str = response.text
        self._redis.set(key, content, ex=self.cache_ttl_file)
        return content

    def get_file_content_raw(self, file_path: str, branch: str = "master") -> bytes | None:
        key = self._get_cache_key("file_raw", branch, file_path)
        cached = self._redis.get(key)
        if cached:
            return base64.b64decode(cached)
        response = self.make_bitbucket_request(f"{self.repo_base}/src/{branch}/{file_path}")
        if response.status_code == 404:
            return None
        response.raise_for_status()
        content: bytes = response.content
        self._redis.set(key, base64.b64encode(content).decode("ascii"), ex=self.cache_ttl_file)
        return content

    def get_branch_head(self, branch: str) -> str:
        """The original names the key and its time to live, and leaves the rest to the reader; so for the directory."""
        url = f"{self.repo_base}/refs/branches/{branch}"
        return str(self._cached("branch", (branch,), url, self.cache_ttl_branch)["target"]["hash"])

    def list_directory(self, path: str, branch: str = "master") -> list[str]:
        url = f"{self.repo_base}/src/{branch}/{path}/"
        return [value["path"] for value in self._cached("dir", (branch, path), url, self.cache_ttl_directory)["values"]]

    def commit_file(self, branch: str, file_path: str, content: str, message: str) -> Any:
        response = self._http.post(
            f"{self.repo_base}/src", data={"branch": branch, "message": message, file_path: content}
        )
        response.raise_for_status()
        self._redis.delete(
            self._get_cache_key("file", branch, file_path), self._get_cache_key("file_raw", branch, file_path)
        )
        return response

    def commit_multiple_files(self, branch: str, file_changes: list[dict[str, str]], message: str) -> Any:
        contents = {change["path"]: change["content"] for change in file_changes}
        response = self._http.post(f"{self.repo_base}/src", data={"branch": branch, "message": message, **contents})
        response.raise_for_status()
        kinds = ("file", "file_raw")
        keys = [self._get_cache_key(kind, branch, path) for path in contents for kind in kinds]
        if keys:
            self._redis.delete(*keys)
        return response

    def make_bitbucket_request(self, url: str) -> Any:
        return self._http.get(url)

    def _get_cache_key(self, resource_type: str, *args: str) -> str:
        return ":".join(["bb", resource_type, self.workspace, self.repository, *args])

    def _cached(self, resource_type: str, args: tuple[str, ...], url: str, ttl: int) -> Any:
        key = self._get_cache_key(resource_type, *args)
        cached = self._redis.get(key)
        if cached:
            return json.loads(cached)
        response = self.make_bitbucket_request(url)
        response.raise_for_status()
        self._redis.set(key, response.text, ex=ttl)
        return response.json()
