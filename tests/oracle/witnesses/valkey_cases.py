"""valkey-py, blocking: see `redis_cases`."""

from __future__ import annotations

from typing import Any

from case import At, case
from redis_cases import call_script, get, no_scripts, publish_and_listen

VALKEY = "valkey-py"


def valkey(at: At, **options: Any) -> Any:
    import valkey

    return valkey.Valkey(host="127.0.0.1", port=at.redis_port, **options)


@case("redis", VALKEY, "10 GET", needs=("valkey",))
def valkey_get(at: At) -> None:
    get(valkey(at), 10)


@case("redis", VALKEY, "10 GET, RESP3", needs=("valkey",))
def valkey_get_resp3(at: At) -> None:
    get(valkey(at, protocol=3), 10)


@case("redis", VALKEY, "10 GET, Python parser", needs=("valkey",))
def valkey_python_parser(at: At) -> None:
    import valkey
    from valkey._parsers import _RESP2Parser

    pool = valkey.ConnectionPool(port=at.redis_port, parser_class=_RESP2Parser)
    get(valkey.Valkey.from_pool(pool), 10)


@case("redis", VALKEY, "pipeline of 100 in MULTI", needs=("valkey",))
def valkey_pipeline(at: At) -> None:
    with valkey(at) as client, client.pipeline() as pipe:
        for number in range(100):
            pipe.incrby("counter", number)
        pipe.execute()


@case("redis", VALKEY, "10 GET, Unix socket", needs=("valkey",))
def valkey_unix(at: At) -> None:
    import valkey

    get(valkey.Valkey(unix_socket_path=at.redis_unix), 10)


@case("redis", VALKEY, "registered script, cold", needs=("valkey",), before=no_scripts)
def valkey_script(at: At) -> None:
    call_script(valkey(at))


@case("redis", VALKEY, "pub/sub", needs=("valkey",))
def valkey_pubsub(at: At) -> None:
    publish_and_listen(valkey(at))
