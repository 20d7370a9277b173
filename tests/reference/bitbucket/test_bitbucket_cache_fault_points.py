"""Each call of the cache broken at every one of its round trips to Redis, before and after the server executed it.

Reads answer all the same. After a commit nobody who waits for what it says (`skipped`) is answered with the old file,
and whoever does not is so only until the file's time.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from redis_perf.proxy import Proxy, fault_points
from redis_perf_reference.bitbucket import DirectoryEntry
from redis_perf_reference.outcomes import CacheUnavailable

LEASE_SECONDS = 0.1


class Broken:
    """One call on a cache of its own each time, started anew for each point on a repository whose file is "old"."""

    def __init__(self, twin: Any, build: Any, bitbucket: Any, proxy: Proxy, call: Callable[[Any], Any]) -> None:
        self._twin, self._build, self._bitbucket, self._proxy, self._call = twin, build, bitbucket, proxy, call
        self.start()

    def start(self) -> None:
        self._twin.redis.flushall()
        self._bitbucket.push("master", {"a.py": b"old", "src/b.py": b"b"})
        self.sound = self._twin.face(self._build(lease_seconds=LEASE_SECONDS))
        client = self._twin.client(self._proxy.url("redis"), probe_seconds=0.01)
        self.cache = self._twin.face(self._build(client, lease_seconds=LEASE_SECONDS))
        self._client = client
        self._twin.redis.script_flush()

    def __call__(self) -> Any:
        return self._call(self.cache)

    def healed(self) -> None:
        self._twin.until(lambda: self._client.available)

    def checked(self) -> None:
        """Nothing lives for ever."""
        for key in self._twin.redis.scan_iter("bb:*"):
            assert -1 != self._twin.redis.pttl(key) <= 900_000  # -2: a lease that is over


def test_files_read_through_a_broken_redis_are_right_and_so_are_those_read_after(
    twin: Any, build: Any, bitbucket: Any, proxy: Proxy, breaking: Any
) -> None:
    files = {"a.py": b"old", "src/b.py": b"b", "missing.py": None}
    broken, seen = Broken(twin, build, bitbucket, proxy, lambda cache: cache.get_files(files)), 0
    for point in fault_points(proxy, broken, breaking=breaking):
        broken.start()
        with point:
            assert broken() == files, str(point)
        assert broken.sound.get_files(files) == files, str(point)
        broken.checked()
        seen += 1
    assert seen == 8  # EVALSHA and EVAL of the look and of the fill, each before and after


def test_a_commit_through_a_broken_redis_is_done_and_this_process_reads_it(
    twin: Any, build: Any, bitbucket: Any, proxy: Proxy, breaking: Any
) -> None:
    broken = Broken(
        twin, build, bitbucket, proxy, lambda cache: cache.commit_file("master", "a.py", "new", "Change it")
    )
    seen = 0
    for point in fault_points(proxy, broken, breaking=breaking):
        broken.start()
        assert broken.sound.get_file_content("a.py") == "old"
        with point:
            committed = broken()
        assert committed.commit == bitbucket.branches["master"]
        if committed.skipped is None:
            assert broken.sound.get_file_content("a.py") == "new", str(point)
        broken.healed()
        assert broken.cache.get_file_content("a.py") == "new", str(point)  # it told Redis before it read
        assert broken.sound.get_file_content("a.py") == "new", str(point)
        broken.checked()
        seen += 1
    assert seen == 4  # EVALSHA and EVAL, each before and after


READS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any], int]] = {
    "directory": (
        lambda cache: cache.list_directory("src"),
        lambda bitbucket: [DirectoryEntry("src/b.py", False, 1), DirectoryEntry("src/deep", True, None)],
        8,  # EVALSHA and EVAL of the look and of the fill, each before and after
    ),
    "head": (lambda cache: cache.get_branch_head(), lambda bitbucket: bitbucket.branches["master"], 8),
    "at a head that is read first": (
        lambda cache: cache.get_file_content("a.py", "feature/x"),
        lambda bitbucket: "x",
        12,  # and two EVALSHA more, as the scripts are known by then
    ),
}


@pytest.mark.parametrize(("read", "wanted", "points"), READS.values(), ids=READS)
def test_a_read_through_a_broken_redis_is_right_and_so_is_the_next_one(
    twin: Any, build: Any, bitbucket: Any, proxy: Proxy, breaking: Any, read: Any, wanted: Any, points: int
) -> None:
    bitbucket.push("feature/x", {"a.py": b"x"})
    broken, seen = Broken(twin, build, bitbucket, proxy, read), 0
    for point in fault_points(proxy, broken, breaking=breaking):
        broken.start()
        with point:
            assert broken() == wanted(bitbucket), str(point)
        assert read(broken.sound) == wanted(bitbucket), str(point)
        broken.checked()
        seen += 1
    assert seen == points


def test_a_branch_forgotten_through_a_broken_redis_is_as_it_was_or_as_it_is(
    twin: Any, build: Any, bitbucket: Any, proxy: Proxy, breaking: Any
) -> None:
    """Each of its parts by itself; and where the call says that it is done, as it is."""
    broken, seen = Broken(twin, build, bitbucket, proxy, lambda cache: cache.forget_branch("master")), 0
    for point in fault_points(proxy, broken, breaking=breaking):
        broken.start()
        old = state(broken.sound)
        bitbucket.push("master", {"a.py": b"newer", "src/b.py": b"bb"})
        with point, suppress(CacheUnavailable):
            assert broken() == len(old)
            old = None
        new = {
            "file": "newer",
            "directory": [DirectoryEntry("src/b.py", False, 2), DirectoryEntry("src/deep", True, None)],
            "head": bitbucket.branches["master"],
        }
        for key, value in state(broken.sound).items():
            assert value == new[key] or (old is not None and value == old[key]), str(point)
        broken.healed()
        broken.cache.forget_branch("master")
        assert state(broken.sound)["file"] == "newer", str(point)
        broken.checked()
        seen += 1
    assert seen == 4


def state(cache: Any) -> dict[str, Any]:
    return {
        "file": cache.get_file_content("a.py"),
        "directory": cache.list_directory("src"),
        "head": cache.get_branch_head(),
    }
