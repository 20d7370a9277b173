"""What is printed on a terminal: its width, its colours, and progress where writing takes long."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

Run: TypeAlias = Callable[..., pytest.RunResult]

LOOP = """
def test_a_loop_over_many_users_that_has_a_long_name(redisperf_redis):
    for user in range(4):
        redisperf_redis.get(f"user:{user}")
"""
COLUMNS = 60
YELLOW = "\x1b[33m"


@pytest.fixture
def on_a_terminal(pytester: pytest.Pytester) -> Callable[..., list[str]]:
    """Runs the loop on a terminal of 60 columns. The lines of our summary."""
    pytester.makepyfile(test_shop=LOOP)

    def on_a_terminal(*options: str) -> list[str]:
        ours, theirs = pty.openpty()
        words = [sys.executable, "-m", "pytest", "-p", "redisperf", "--redisperf", "--redisperf-redis=fake", *options]
        environment = {**os.environ, "COLUMNS": str(COLUMNS), "TERM": "xterm"}
        del environment["PY_COLORS"]  # pytester's
        running = subprocess.Popen(words, cwd=pytester.path, env=environment, stdout=theirs)
        os.close(theirs)
        with os.fdopen(ours, "rb") as terminal:
            said = b"".join(_read(terminal.fileno())).decode()
        assert running.wait() == 0
        _, _, ours_and_after = said.rpartition(" redisperf ")
        return ours_and_after.splitlines()[1:-1]

    return on_a_terminal


def _read(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            data = os.read(terminal, 4096)
        except OSError:  # Linux tells the end of a terminal so
            return
        if not data:
            return
        yield data


def test_no_line_is_wider_than_the_terminal(on_a_terminal: Callable[..., list[str]]) -> None:
    lines = [re.sub("\x1b\\[[0-9;]*m", "", line) for line in on_a_terminal()]
    assert max(map(len, lines)) == COLUMNS
    assert "      4         0           4      4       8 ms  test_sho..." in lines


def test_what_is_doubtful_is_yellow_unless_colours_are_off(on_a_terminal: Callable[..., list[str]]) -> None:
    assert [line[len(YELLOW) :][:13] for line in on_a_terminal() if line.startswith(YELLOW)] == ["suspected N+1"]
    assert not [line for line in on_a_terminal("--color=no") if "\x1b" in line]


def test_colours_can_be_asked_for_where_there_is_no_terminal(run: Run) -> None:
    found = [line for line in run(LOOP, "--redisperf", "--color=yes").outlines if "suspected N+1: " in line]
    assert [line.startswith(YELLOW) for line in found] == [True]


def test_with_vv_no_test_is_left_out_of_the_table(run: Run) -> None:
    many = """
        import pytest

        @pytest.mark.parametrize("n", range(15))
        def test_n(redisperf_redis, n):
            redisperf_redis.get("a")
    """
    rows = {
        verbosity: sum("      1         0" in line for line in run(many, "--redisperf", *verbosity).outlines)
        for verbosity in ((), ("-vv",))
    }
    assert rows == {(): 10, ("-vv",): 15}


def test_writing_that_takes_long_tells_how_far_it_is(
    run: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_redisperf.gathering.SILENT_S", -1.0)
    said = run(LOOP, "--redisperf-html=run.html", "-q").outlines
    assert any(re.fullmatch(r"redisperf: writing run\.html: [0-9.]+ KiB so far", line) for line in said)
    assert Path(pytester.path, "run.html").exists()
