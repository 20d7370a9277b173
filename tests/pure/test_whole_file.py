"""A file is written whole or not at all, and what is no file is left what it is."""

import os
import stat
from pathlib import Path
from threading import Thread

import pytest

from redis_perf.whole_file import write_whole


def test_what_cannot_be_made_leaves_what_was_there(tmp_path: Path) -> None:
    def pieces():
        yield "half"
        raise RuntimeError("no more")

    file = tmp_path / "report.json"
    file.write_text("before")
    with pytest.raises(RuntimeError, match="no more"):
        write_whole(file, pieces())
    assert file.read_text() == "before"
    assert os.listdir(tmp_path) == ["report.json"]


def test_the_size_is_that_of_the_file_in_bytes(tmp_path: Path) -> None:
    file = tmp_path / "missing" / "report.txt"
    assert write_whole(file, ["a", "\u00e9\udc80"]) == file.stat().st_size == len("a\\udc80") + 2


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    file, link = tmp_path / "kept" / "report.json", tmp_path / "latest.json"
    link.symlink_to(file)
    write_whole(link, ["first"])
    write_whole(link, ["second"])
    assert link.is_symlink()
    assert file.read_text() == "second"


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe", list[str]()
    os.mkfifo(pipe)
    reader = Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    assert write_whole(pipe, ["through ", "the pipe"]) == 16
    reader.join()
    assert read == ["through the pipe"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
