"""A Redis command's fingerprint: `redis_shape([b"RPUSH", b"working:42:turns", b"hi"])` is `RPUSH working:{}:turns`.

The name comes first, upper-cased, with its subcommand where it has one; a script is named by its first line or the
head of its SHA; then the keys as patterns. Other arguments are never kept, so neither are values nor secrets.

A key becomes a pattern by replacing what varies with `{}`: numbers, UUIDs, hex digests, e-mail-like parts and long
mixed tokens. A plain word stays, for one key cannot tell whether `ada` in `working:ada:turns` is a user or a
constant. The braces of a Cluster hash tag are left out (`a:{42}:b` and `a:42:b` are both `a:{}:b`), so braces in a
shape always mean "this varies". Keys of the same pattern are shown once, followed by ` ...`.

Only the first 256 bytes of an argument are looked at, so whoever logged it may have cut it already. A command that
is not known is taken to have its key first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

READ_BYTES = 256
NAME_CHARS = 40
SCRIPT_CHARS = 60
KEY_CHARS = 80
PATTERNS_SHOWN = 3


def redis_shape(argv: Sequence[bytes]) -> str:
    """The shape of one command as it was sent, name first. An empty command is `""`."""
    if not argv:
        return ""
    name = _text(argv[0])[:NAME_CHARS].upper()
    words = [name]
    if name in _WITH_SUBCOMMAND and len(argv) > 1:
        subcommand = _text(argv[1])[:NAME_CHARS].upper()
        words.append(subcommand if _WORD.fullmatch(subcommand) else "?")
    keys = _keys(words, argv)
    return " ".join([*words, *_script(words, argv), *_patterns(keys)])


def key_pattern(key: bytes) -> str:
    """A key with everything that looks like an identifier replaced by `{}`."""
    return _pattern(_text(key))


@lru_cache(maxsize=1024)
def _pattern(text: str) -> str:
    """What an expression cannot match for want of a character or of length is not searched."""
    if "{" in text:
        text = _HASH_TAG.sub(lambda tag: tag[1] or "{}", text)
    if "@" in text or len(text) >= _UUID_CHARS:
        text = _WHOLE.sub("{}", text)
    if len(text) >= _PART_CHARS:
        text = _PART.sub(lambda part: "{}" if _is_token(part[0]) else part[0], text)
    text = _RUN.sub(_run, text)
    if "{}{}" in text:
        text = _ADJOINING.sub("{}", text)
    return text if len(text) <= KEY_CHARS else text[: KEY_CHARS - 3] + "..."


_WORD = re.compile(r"[A-Z][A-Z_-]*")
_HASH_TAG = re.compile(r"\{+([^{}]*)\}+")
_WHOLE = re.compile(
    r"[^\s:/|{}@]+@[^\s:/|{}@]+\.\w+"  # someone@example.org
    r"|(?<![^\W_])[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}(?![^\W_])"
)
_UUID_CHARS = 36
_PART_CHARS = 20
_PART = re.compile(rf"[\w.~+=-]{{{_PART_CHARS},}}")
_RUN = re.compile(r"[^\W_]+")
_HEX = re.compile(r"[0-9a-fA-F]+")
_DIGITS = re.compile(r"\d+")
_ADJOINING = re.compile(r"(?:\{\}){2,}")


def _is_token(part: str) -> bool:
    """A session token, a JWT: long, and upper case, lower case and digits together."""
    return part != part.lower() and part != part.upper() and _DIGITS.search(part) is not None


def _run(match: re.Match[str]) -> str:
    """Letters and digits between separators: a digest, a mixed identifier, or a word that may end in a number."""
    run = match[0]
    if run.isdecimal():
        return "{}"
    if run.isalpha() and len(run) < 16:
        return run
    numbers = len(_DIGITS.findall(run))
    is_hex = _HEX.fullmatch(run) is not None
    if is_hex and len(run) >= (8 if numbers else 16):
        return "{}"
    if numbers > 1 or (numbers and len(run) >= 16):
        return "{}"
    return _DIGITS.sub("{}", run)


def _text(raw: bytes) -> str:
    return _printable(_decoded(raw))


def _decoded(raw: bytes) -> str:
    return bytes(raw[:READ_BYTES]).decode("utf-8", "backslashreplace")


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _patterns(keys: Sequence[bytes]) -> list[str]:
    if len(keys) == 1:
        return [key_pattern(keys[0])]
    distinct = list(dict.fromkeys(key_pattern(key) for key in keys))
    shown = distinct[:PATTERNS_SHOWN]
    return [*shown, "..."] if len(shown) < len(keys) else shown


# --- scripts: the one argument besides keys that tells what is being asked


def _script(words: Sequence[str], argv: Sequence[bytes]) -> list[str]:
    """How a script or function call is named, if this is one."""
    name = words[0]
    if name not in _SCRIPTS:
        return []
    if name in ("EVAL", "EVAL_RO") and len(argv) > 1:
        return [f'"{_first_line(argv[1])}"']
    if list(words) in (["SCRIPT", "LOAD"], ["FUNCTION", "LOAD"]) and len(argv) > 2:
        return [f'"{_first_line(argv[-1])}"']
    if name in ("EVALSHA", "EVALSHA_RO") and len(argv) > 1:
        return [_text(argv[1])[:8] + "..."]
    if name in ("FCALL", "FCALL_RO") and len(argv) > 1:
        return [_text(argv[1])[:SCRIPT_CHARS]]
    return []


_SCRIPTS = frozenset(["EVAL", "EVALSHA", "EVALSHA_RO", "EVAL_RO", "FCALL", "FCALL_RO", "FUNCTION", "SCRIPT"])
_STRING = re.compile(r"""(call\s*\(\s*(["'])[A-Za-z.]+\2)|(["'])(?:\\.|(?!\3).)*(?:\3|\Z)""")
_NUMBER = re.compile(r"(?<![\w\[.])\d[\w.]*")


def _first_line(script: bytes) -> str:
    """A comment's text as it is; code with strings and numbers out, but with the commands it calls."""
    lines = (line.strip() for line in _decoded(script).splitlines())
    line = next((line for line in lines if line.strip("-#! ")), "")
    if line.startswith("#!"):
        line = line.partition("name=")[2] or line
    elif line.startswith("--"):
        line = line.strip("- ")
    else:
        line = _NUMBER.sub("{}", _STRING.sub(lambda string: string[1] or "{}", line))
    line = _printable(line)
    return line if len(line) <= SCRIPT_CHARS else line[: SCRIPT_CHARS - 3] + "..."


# --- where a command has its keys

_WITH_SUBCOMMAND = frozenset([
    "ACL", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "DEBUG", "FUNCTION", "LATENCY", "MEMORY", "MODULE", "OBJECT",
    "PUBSUB", "SCRIPT", "SENTINEL", "SLOWLOG", "XGROUP", "XINFO",
])  # fmt: skip
_KEYLESS = frozenset([
    "ASKING", "AUTH", "BGREWRITEAOF", "BGSAVE", "DBSIZE", "DISCARD", "ECHO", "EXEC", "FAILOVER", "FLUSHALL", "FLUSHDB",
    "HELLO", "INFO", "LASTSAVE", "LOLWUT", "MIGRATE", "MONITOR", "MULTI", "PING", "PSYNC", "QUIT", "RANDOMKEY",
    "READONLY", "READWRITE", "REPLCONF", "REPLICAOF", "RESET", "ROLE", "SAVE", "SCAN", "SELECT", "SHUTDOWN", "SLAVEOF",
    "SWAPDB", "SYNC", "TIME", "UNWATCH", "WAIT", "WAITAOF",
])  # fmt: skip
_EVERY = frozenset([
    "DEL", "EXISTS", "MGET", "PFCOUNT", "PFMERGE", "PSUBSCRIBE", "PUNSUBSCRIBE", "SDIFF", "SDIFFSTORE", "SINTER",
    "SINTERSTORE", "SSUBSCRIBE", "SUBSCRIBE", "SUNION", "SUNIONSTORE", "SUNSUBSCRIBE", "TOUCH", "UNLINK", "UNSUBSCRIBE",
    "WATCH",
])  # fmt: skip
_ALL_BUT_LAST = frozenset(["BLPOP", "BRPOP", "BZPOPMAX", "BZPOPMIN", "JSON.MGET"])
_FIRST_TWO = frozenset([
    "BLMOVE", "BRPOPLPUSH", "COPY", "GEOSEARCHSTORE", "LCS", "LMOVE", "RENAME", "RENAMENX", "RPOPLPUSH", "SMOVE",
    "ZRANGESTORE",
])  # fmt: skip
_STEP = {"JSON.MSET": 3, "MSET": 2, "MSETNX": 2}
_COUNTED = {  # where the number of keys stands
    "BLMPOP": 2, "BZMPOP": 2, "EVAL": 2, "EVALSHA": 2, "EVALSHA_RO": 2, "EVAL_RO": 2, "FCALL": 2, "FCALL_RO": 2,
    "LMPOP": 1, "SINTERCARD": 1, "ZDIFF": 1, "ZDIFFSTORE": 2, "ZINTER": 1, "ZINTERCARD": 1, "ZINTERSTORE": 2,
    "ZMPOP": 1, "ZUNION": 1, "ZUNIONSTORE": 2,
}  # fmt: skip


def _keys(words: Sequence[str], argv: Sequence[bytes]) -> Sequence[bytes]:
    name = words[0]
    if name in _WITH_SUBCOMMAND:
        has_key = name in ("XGROUP", "XINFO", "OBJECT") or words[1:] == ["USAGE"]
        return argv[2:3] if has_key else ()
    if name in _KEYLESS:
        return ()
    if name in _EVERY:
        return argv[1:]
    if name in _ALL_BUT_LAST:
        return argv[1:-1]
    if name in _STEP:
        return argv[1 :: _STEP[name]]
    if name in _FIRST_TWO:
        return argv[1:3]
    return _oddly_placed(name, argv)


def _oddly_placed(name: str, argv: Sequence[bytes]) -> Sequence[bytes]:
    if name in _COUNTED:
        at = _COUNTED[name]
        keys = argv[at + 1 : at + 1 + _count(argv[at : at + 1])]
        return [argv[1], *keys] if name.endswith("STORE") and len(argv) > 1 else keys
    if name == "MSETEX":
        return argv[2 : 2 + 2 * _count(argv[1:2]) : 2]
    if name == "BITOP":
        return argv[2:]
    if name in ("XREAD", "XREADGROUP"):
        upper = [bytes(word).upper() for word in argv]
        streams = argv[upper.index(b"STREAMS") + 1 :] if b"STREAMS" in upper else ()
        return streams[: (len(streams) + 1) // 2]
    return argv[1:2]


def _count(argument: Sequence[bytes]) -> int:
    text = bytes(argument[0]) if argument else b""
    return int(text) if text.isdigit() and len(text) < 9 else 0
