"""Write docs/working_memory.md from a fresh run of the proof: `python docs/generate_working_memory.py`."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEAD = """# Working memory: before, after, floor

Written by `python docs/generate_working_memory.py`, which runs `pytest --redisperf tests/reference/proof` on a real
Valkey and a real PostgreSQL; no figure here was typed by hand. *Before* is `redis_perf_reference.naive`, *after* is
`redis_perf_reference.WorkingMemory`, *floor* is the least that the call can cost. Connections are open and scripts are
loaded; a server that does not know a script yet costs one round trip more, once.
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "table.md"
        subprocess.run(
            [sys.executable, "-m", "pytest", "--redisperf", "-q", "tests/reference/proof"],
            cwd=ROOT, check=True, env={**os.environ, "REDISPERF_PROOF_FILE": str(table)},
        )  # fmt: skip
        (ROOT / "docs" / "working_memory.md").write_text(f"{HEAD}\n{table.read_text()}")


if __name__ == "__main__":
    main()
