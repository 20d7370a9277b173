"""Write docs/overhead.md from fresh runs of the benchmarks: `python docs/generate_overhead.py`."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
BENCHMARKS = {
    "redis-py": "overhead_redis.py",
    "psycopg": "overhead_psycopg.py",
    "pytest start-up without `--redisperf`": "startup.py",
}
HEAD = """# What it costs

Written by `python docs/generate_overhead.py`; no figure here was typed by hand. Each table comes from one run of
one script in `benchmarks/`, its variants alternating in it: read the ratios, absolute times are one machine's.
The peers, where there are any, are OpenTelemetry's instrumentations with an in-memory exporter.
"""


def table(script: str) -> str:
    run = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / script)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return run.stdout.strip()


def main() -> None:
    sections = [
        f"## {title}\n\n`python benchmarks/{script}`\n\n{table(script)}" for title, script in BENCHMARKS.items()
    ]
    (ROOT / "docs" / "overhead.md").write_text("\n\n".join([HEAD.strip(), *sections]) + "\n")


if __name__ == "__main__":
    main()
