"""Bitbucket Cloud's API 2.0 on loopback, as far as the reference uses it: one repository, whose branches move."""

from __future__ import annotations

import json
import re
import threading
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit

Files = dict[str, bytes]
Answer = tuple[int, dict[str, str], bytes]
AUTHORIZATION = "Basic " + b64encode(b"ada:secret").decode()


class Bitbucket(ThreadingHTTPServer):
    """`requests` are those it got, such as "GET src/master/a.py", `answers` their statuses. `failing` maps the end of a
    path to a status that is answered instead. `meanwhile` is called between reading the repository and answering."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/2.0"
        self.path = "acme/sdb"
        self.commits: dict[str, Files] = {}
        self.branches: dict[str, str] = {}
        self.requests: list[str] = []
        self.answers: list[int] = []
        self.failing: dict[str, int] = {}
        self.meanwhile: Callable[[str], Any] = lambda path: None
        self.page_size, self.etags = 100, True
        self.odd_answer: bytes | None = None
        self._lock = threading.Lock()

    def push(self, branch: str, files: Files, deleted: tuple[str, ...] = ()) -> str:
        """A commit on a branch, past every cache."""
        with self._lock:
            tree = {**self.commits.get(self.branches.get(branch, ""), {}), **files}
            for path in deleted:
                tree.pop(path, None)
            commit = sha1(repr((len(self.commits), sorted(tree.items()))).encode()).hexdigest()
            self.commits[commit] = tree
            self.branches[branch] = commit
        return commit

    def files_at(self, revision: str) -> Files | None:
        return self.commits.get(self.branches.get(revision, revision))


class Handler(BaseHTTPRequestHandler):
    server: Bitbucket
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(self._post)

    def _answer(self, made: Callable[[str], Answer]) -> None:
        url = urlsplit(self.path)
        path = url.path.removeprefix(f"/2.0/repositories/{self.server.path}/")
        self.server.requests.append(f"{self.command} {path}")
        failing = [status for end, status in self.server.failing.items() if path.endswith(end)]
        if self.server.odd_answer is not None:
            answer: Answer = 200, {"Content-Type": "application/json"}, self.server.odd_answer
        elif self.headers["Authorization"] != AUTHORIZATION:
            answer = 401, {}, b""
        elif failing:
            answer = failing[0], {"Retry-After": "7"}, b"try later"
        else:
            answer = made(path)
        self.server.meanwhile(path)
        status, headers, body = answer
        self.server.answers.append(status)
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _get(self, path: str) -> Answer:
        if path.startswith("refs/branches/"):
            commit = self.server.branches.get(unquote(path.removeprefix("refs/branches/")))
            return _json({"name": path, "target": {"hash": commit}}) if commit else _missing()
        revision, _, place = path.removeprefix("src/").partition("/")
        files = self.server.files_at(unquote(revision))
        if files is None or not path.startswith("src/"):
            return _missing()
        place = unquote(place)
        return self._file(files[place]) if place in files else self._directory(files, revision, place.rstrip("/"))

    def _file(self, body: bytes) -> Answer:
        etag = f'"{sha1(body).hexdigest()}"'
        if self.server.etags and self.headers["If-None-Match"] == etag:
            return 304, {"ETag": etag}, b""
        headers = {"Content-Type": "application/json", "Content-Disposition": "attachment"}
        return 200, {**headers, **({"ETag": etag} if self.server.etags else {})}, body

    def _directory(self, files: Files, revision: str, place: str) -> Answer:
        above = f"{place}/" if place else ""
        below = {path[len(above) :].partition("/")[0]: path for path in sorted(files) if path.startswith(above)}
        if not below:
            return _missing()
        start = int(parse_qs(urlsplit(self.path).query).get("page", ["0"])[0])
        end = start + self.server.page_size
        page: dict[str, Any] = {
            "values": [
                {"type": "commit_file", "path": above + name, "size": len(files[path])}
                if above + name == path
                else {"type": "commit_directory", "path": above + name}
                for name, path in list(below.items())[start:end]
            ]
        }
        if end < len(below):
            page["next"] = f"{self.server.url}/repositories/{self.server.path}/src/{revision}/{above}?page={end}"
        return _json(page)

    def _post(self, path: str) -> Answer:
        fields = self._fields()
        branch, parents = fields.pop("branch")[0].decode(), fields.pop("parents", [b""])[0].decode()
        assert fields.pop("message")
        if path != "src" or (parents and parents != self.server.branches.get(branch)):
            return 409, {}, b""
        deleted = tuple(name.decode().lstrip("/") for name in fields.pop("files", []))
        files = {name.lstrip("/"): values[0] for name, values in fields.items()}
        commit = self.server.push(branch, files, deleted)
        return 201, {"Location": f"{self.server.url}/repositories/{self.server.path}/commit/{commit}"}, b""

    def _fields(self) -> dict[str, list[bytes]]:
        fields: dict[str, list[bytes]] = {}
        boundary = self.headers["Content-Type"].partition("boundary=")[2].encode()
        if not boundary:
            pairs = [(name, value.encode()) for name, value in parse_qsl(self._body.decode(), keep_blank_values=True)]
        else:
            parts = [part.partition(b"\r\n\r\n") for part in self._body.split(b"--" + boundary)[1:-1]]
            pairs = [(_name(head), body.removesuffix(b"\r\n")) for head, _, body in parts]
        for name, value in pairs:
            fields.setdefault(name, []).append(value)
        return fields

    def log_message(self, *_: object) -> None: ...


def _name(head: bytes) -> str:
    found = re.search(rb'[; ]name="([^"]*)"', head)
    assert found
    return found[1].decode()


def _json(value: Any) -> Answer:
    return 200, {"Content-Type": "application/json; charset=utf-8"}, json.dumps(value).encode()


def _missing() -> Answer:
    return 404, {"Content-Type": "application/json"}, b"{}"
