"""Clients of Node.js, which no tap sees: `node/*.mjs`, run by one node for all cases of this process.

Node takes bytes from a socket as they come, so the witness is the delay pipe: see `redis_asyncio_cases`.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import npm
import postgres_cases
from case import TURNS, At, case
from redis_cases import no_scripts

IOREDIS, NODE_REDIS, PG = "ioredis", "node-redis", "node pg"
SIDE_BY_SIDE: dict[str, Any] = {"latencies_ms": (50, 250), "hold_ms": 30}


@cache
def node() -> subprocess.Popen[str]:
    """Ends when its input does, which is when this process ends."""
    script = str(Path(__file__).parent / "node" / "run.mjs")
    return subprocess.Popen(
        ["node", script], env=npm.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def call(name: str, at: At) -> None:
    process = node()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps({"name": name, "at": asdict(at)}) + "\n")
    process.stdin.flush()
    answer = json.loads(process.stdout.readline() or '{"error": "node has ended"}')
    if answer:
        raise RuntimeError(answer["error"])


def node_case(store: str, client: str, mode: str, name: str, **options: Any) -> None:
    before = options.pop("before", None)

    def ready(at: At) -> None:
        call("node_ready", at)
        if before:
            before(at)

    def run(at: At) -> None:
        call(name, at)

    run.__name__ = name
    case(store, client, mode, witness=TURNS, needs=("node",), before=ready, tap=False, **options)(run)


node_case("redis", IOREDIS, "5 GET", "ioredis_get")
node_case("redis", IOREDIS, "5 GET, Unix socket", "ioredis_unix")
node_case("redis", IOREDIS, "5 GET, password, database 3, name", "ioredis_login")
node_case("redis", IOREDIS, "5 GET, no ready check", "ioredis_no_ready_check")
node_case("redis", IOREDIS, "a GET, then 10 at once", "ioredis_together", **SIDE_BY_SIDE)
node_case("redis", IOREDIS, "a GET, then 10 at once, auto pipelining", "ioredis_auto_pipelining", **SIDE_BY_SIDE)
node_case("redis", IOREDIS, "pipeline of 100", "ioredis_pipeline")
node_case("redis", IOREDIS, "MULTI of 3", "ioredis_multi")
node_case("redis", IOREDIS, "defined script 3 times, cold", "ioredis_script", before=no_scripts)
node_case("redis", IOREDIS, "pub/sub", "ioredis_pubsub", **SIDE_BY_SIDE)

node_case("redis", NODE_REDIS, "5 GET", "node_redis_get")
node_case("redis", NODE_REDIS, "5 GET, RESP3", "node_redis_get_resp3")
node_case("redis", NODE_REDIS, "5 GET, Unix socket", "node_redis_unix")
node_case("redis", NODE_REDIS, "5 GET, password, database 3, name", "node_redis_login")
node_case("redis", NODE_REDIS, "a GET, then 10 at once", "node_redis_together", **SIDE_BY_SIDE)
node_case("redis", NODE_REDIS, "pipeline of 100", "node_redis_pipeline")
node_case("redis", NODE_REDIS, "MULTI of 3", "node_redis_multi")
node_case("redis", NODE_REDIS, "pub/sub", "node_redis_pubsub")

node_case("postgres", PG, "connect, trusted", "pg_connect")
node_case("postgres", PG, "connect, SCRAM", "pg_connect_scram")
node_case("postgres", PG, "3 statements", "pg_query")
node_case("postgres", PG, "one statement with a parameter 3 times", "pg_parameters")
node_case("postgres", PG, "one named statement 3 times", "pg_named")
node_case("postgres", PG, "an INSERT in a transaction", "pg_transaction", before=postgres_cases.table)
node_case("postgres", PG, "3 statements at once, one connection", "pg_queued")
node_case("postgres", PG, "an error, then a statement", "pg_error")
node_case("postgres", PG, "20,000 rows", "pg_many_rows")
node_case("postgres", PG, "pool of 3, 9 tasks", "pg_pool", **SIDE_BY_SIDE)
