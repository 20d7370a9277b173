"""requests-cache: whole HTTP responses; a miss asks a server of ours on this machine."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import redis
from caches import case
from caches.case import TTL_SECONDS, VALUE, Case, Contender, fresh
from requests_cache import CachedSession, RedisCache


class Persona(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = VALUE["prompt"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@asynccontextmanager
async def requests_cache(url: str) -> AsyncIterator[Contender]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Persona)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    base = f"http://127.0.0.1:{server.server_address[1]}"
    client = redis.Redis.from_url(url)
    session = CachedSession(backend=RedisCache(connection=client), expire_after=TTL_SECONDS)
    session.trust_env = False
    miss = fresh(f"{base}/miss")
    cases = {
        case.HIT: Case(partial(session.get, f"{base}/hit")),
        case.LOADED_HIT: Case(partial(session.get, f"{base}/hit")),
        case.MISS: Case(lambda: session.get(miss())),
        case.DELETE: Case(lambda: session.cache.delete(urls=[f"{base}/one"]), lambda: session.get(f"{base}/one")),
    }
    yield Contender("requests-cache", cases)
    session.close()
    server.shutdown()
    thread.join()
    server.server_close()
    client.close()
