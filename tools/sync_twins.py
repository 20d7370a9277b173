"""Writes the reference's sync twins from their asyncio sources: the same code without `async` and `await`.

    python tools/sync_twins.py            write them
    python tools/sync_twins.py --check    exit with 1 and name the files that are out of step

Only tokens are touched, so comments and layout stay; ruff sorts the imports and formats the result. (unasyncd 0.10 was
tried first: its --check trusts a cache of earlier runs and does not look at the file that is checked in.)
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tokenize
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "reference" / "redis_perf_reference"
HAND_WRITTEN = {"background.py", "exchange.py", "flight.py"}  # tasks and threads differ in more than words
DROPPED = {"async", "await"}
RENAMED = {
    "AbstractAsyncContextManager": "AbstractContextManager",
    "AsyncClient": "Client",
    "AsyncConnection": "Connection",
    "AsyncCursor": "Cursor",
    "AsyncIterator": "Iterator",
    "BackgroundTask": "BackgroundThread",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "aclose": "close",
    "asynccontextmanager": "contextmanager",
}
PHRASES = (  # dotted names, in code and in docstrings
    (r"\bredis_perf_reference\.asyncio\b", "redis_perf_reference.sync"),
    (r"\bredis\.asyncio\b", "redis"),
    (r"\bAsyncConnectionPool\b", "ConnectionPool"),
)
HEADER = "# Generated from ../asyncio/{name} by tools/sync_twins.py: change that file, then run the tool.\n"


def twin(source: str, name: str) -> str:
    """The sync form of one asyncio file."""
    offsets = [0]
    for line in source.splitlines(keepends=True):
        offsets.append(offsets[-1] + len(line))
    pieces, done = [], 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        start, end = (offsets[row - 1] + column for row, column in (token.start, token.end))
        if token.type != tokenize.NAME or start < done:
            continue
        if token.string in DROPPED:
            pieces.append(source[done:start])
            done = end + (len(source[end:]) - len(source[end:].lstrip(" ")))
        elif token.string in RENAMED:
            pieces += [source[done:start], RENAMED[token.string]]
            done = end
    text = "".join([*pieces, source[done:]])
    for pattern, replacement in PHRASES:
        text = re.sub(pattern, replacement, text)
    return _formatted(HEADER.format(name=name) + text)


def _formatted(source: str) -> str:
    for command in (["check", "--select", "I", "--fix-only"], ["format"]):
        arguments = [
            sys.executable,
            "-m",
            "ruff",
            *command,
            "--quiet",
            "--stdin-filename",
            str(PACKAGE / "sync/x.py"),
            "-",
        ]
        source = subprocess.run(arguments, input=source, capture_output=True, text=True, check=True).stdout
    return source


def main() -> int:
    checking, stale = "--check" in sys.argv[1:], []
    for file in sorted((PACKAGE / "asyncio").glob("*.py")):
        if file.name in HAND_WRITTEN:
            continue
        target, wanted = PACKAGE / "sync" / file.name, twin(file.read_text(), file.name)
        if target.exists() and target.read_text() == wanted:
            continue
        stale.append(str(target.relative_to(PACKAGE.parent.parent)))
        if not checking:
            target.write_text(wanted)
    if checking and stale:
        print(f"out of step with asyncio/: {', '.join(stale)}; run `python tools/sync_twins.py`", file=sys.stderr)
        return 1
    print(f"{len(stale)} written" if stale else "in step")
    return 0


if __name__ == "__main__":
    sys.exit(main())
