"""What each call of the cache costs, counted on the wire and in requests to the API."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_redisperf import RedisPerf
from redis_perf import exactly

FILES = ["a.py", "src/b.py", "src/deep/c.bin", "empty.txt", "missing.py"]
BODIES = {"a.py": b"a", "src/b.py": b"b", "src/deep/c.bin": b"\xff\x00", "empty.txt": b"", "missing.py": None}

READS = {
    "text": lambda cache, **at: cache.get_file_content("a.py", **at),
    "bytes": lambda cache, **at: cache.get_file_content_raw("src/deep/c.bin", **at),
    "missing": lambda cache, **at: cache.get_file_content("missing.py", **at),
    "directory": lambda cache, **at: cache.list_directory("src", **at),
    "head": lambda cache, **at: cache.get_branch_head(**at),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_miss_is_two_round_trips_and_one_request_and_a_hit_one_and_none(
    redisperf: RedisPerf, cache: Any, bitbucket: Any, read: Any
) -> None:
    with redisperf.budget(redis=exactly(2)):
        first = read(cache)
    with redisperf.budget(redis=exactly(1)):
        assert read(cache) == first
    assert len(bitbucket.requests) == 1


def test_n_files_are_two_round_trips_and_then_one(redisperf: RedisPerf, cache: Any, naive: Any, bitbucket: Any) -> None:
    with redisperf.budget(redis=exactly(2)):
        assert cache.get_files(FILES) == BODIES
    with redisperf.budget(redis=exactly(1)):
        assert cache.get_files(FILES) == BODIES
    assert len(bitbucket.requests) == len(FILES)
    for path in ("a.py", "src/b.py"):
        naive.get_file_content(path)
    with redisperf.budget(redis=exactly(2)):
        assert [naive.get_file_content(path) for path in ("a.py", "src/b.py")] == ["a", "b"]


def test_a_commit_of_n_files_is_one_round_trip(redisperf: RedisPerf, cache: Any, naive: Any, bitbucket: Any) -> None:
    changes = [{"path": f"src/{number}.py", "content": "x"} for number in range(20)]
    bitbucket.requests.clear()
    with redisperf.budget(redis=exactly(1)):
        committed = cache.commit_multiple_files("master", changes, "Add them")
    assert (committed.commit, committed.skipped) == (bitbucket.branches["master"], None)
    assert bitbucket.requests == ["POST src"]
    with redisperf.budget(redis=exactly(1)):
        cache.commit_file("master", "src/1.py", "y", "Change one")
    with redisperf.budget(redis=exactly(1)):
        naive.commit_multiple_files("master", changes, "Add them")  # and leaves directories and head


def test_files_at_a_commit_need_no_look_at_the_branch(redisperf: RedisPerf, cache: Any, bitbucket: Any) -> None:
    commit = bitbucket.branches["master"]
    cache.get_files(FILES, commit=commit)
    bitbucket.push("master", {"a.py": b"newer"})
    with redisperf.budget(redis=exactly(1)):
        assert cache.get_files(FILES, commit=commit) == BODIES


def test_a_branch_with_a_slash_is_read_at_its_head(redisperf: RedisPerf, cache: Any, bitbucket: Any) -> None:
    commit = bitbucket.push("feature/x", {"a.py": b"x"})
    with redisperf.budget(redis=exactly(4)):  # and its head, which is cached too
        assert cache.get_file_content("a.py", "feature/x") == "x"
    with redisperf.budget(redis=exactly(1)):
        assert cache.get_file_content("a.py", "feature/x") == "x"
    assert bitbucket.requests == ["GET refs/branches/feature/x", f"GET src/{commit}/a.py"]


def test_a_file_past_its_time_that_did_not_change_is_not_sent_again(
    redisperf: RedisPerf, twin: Any, build: Any, bitbucket: Any
) -> None:
    cache = twin.face(build(file_ttl=0.001))
    for _ in range(2):
        with redisperf.budget(redis=exactly(2)):
            assert cache.get_files(["a.py", "empty.txt"]) == {"a.py": b"a", "empty.txt": b""}
        twin.until_ms_passed(3)
    assert bitbucket.answers == [200, 200, 304, 304]
