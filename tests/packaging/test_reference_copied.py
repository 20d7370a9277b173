"""The reference as somebody copies it: what its README says about imports holds."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REFERENCE = Path(__file__).parents[2] / "reference"


def test_with_the_readme_s_line_it_runs_on_valkey_py_alone(tmp_path: Path) -> None:
    pytest.importorskip("valkey")
    copy = tmp_path / "redis_perf_reference"
    shutil.copytree(REFERENCE / "redis_perf_reference", copy)
    line = re.search(r"```sh\n(sed .*)\n```", (REFERENCE / "README.md").read_text())
    assert line is not None
    subprocess.run(line[1], shell=True, cwd=copy, check=True)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import redis_perf_reference.asyncio as it; " + (
        "print(it.__file__.startswith(sys.path[0]), 'redis' in sys.modules, 'valkey' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["True", "False", "True"]
