"""The README's first line: its tests run with what it installs, which is less than what the tests of all need."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
WITHOUT = """
import sys
sys.modules.update(dict.fromkeys(("hypothesis", "xdist", "pytest_asyncio", "fakeredis", "asyncpg", "psycopg2")))
import pytest
sys.exit(pytest.main(["-p", "redisperf", "--redisperf", "--collect-only", "-q", "tests/reference/proof"]))
"""


def test_the_main_job_needs_nothing_that_only_other_tests_need() -> None:
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
    command = [sys.executable, "-c", WITHOUT]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
