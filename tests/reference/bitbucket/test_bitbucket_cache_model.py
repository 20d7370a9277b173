"""Two processes, one repository, and a Redis that is now and then away for one of them: they read what is there."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PATHS = ["a.py", "src/b.py", "src/deep/c.py"]
BRANCHES = ["master", "feature/x"]
steps = st.lists(
    st.tuples(
        st.sampled_from(["read", "commit", "remove", "push", "flush"]),
        st.integers(0, 1),
        st.sampled_from(BRANCHES),
        st.sets(st.sampled_from(PATHS), min_size=1),
        st.booleans(),
    ),
    max_size=6,
)


def there(bitbucket: Any, branch: str) -> tuple[Any, ...]:
    """What `seen` must be."""
    files = bitbucket.commits[bitbucket.branches[branch]]
    listed = {
        "": {path.partition("/")[0] for path in files},
        "src": {"/".join(path.split("/")[:2]) for path in files if path.startswith("src/")} or None,
        "src/deep": {path for path in files if path.startswith("src/deep/")} or None,
    }
    return bitbucket.branches[branch], {path: files.get(path) for path in PATHS}, listed


def seen(cache: Any, branch: str) -> tuple[Any, ...]:
    listed = {}
    for directory in ("", "src", "src/deep"):
        entries = cache.list_directory(directory, branch)
        listed[directory] = None if entries is None else {entry.path for entry in entries}
    return cache.get_branch_head(branch), cache.get_files(PATHS, branch), listed


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_two_processes_read_what_is_there(
    twin: Any, build: Any, elsewhere: Any, bitbucket: Any, redis_relay: Any, steps: list[tuple[Any, ...]]
) -> None:
    redis_relay.mode = "pass"
    twin.redis.flushall()
    client = twin.client(redis_relay.address, probe_seconds=0.01)
    pair = [twin.face(build(client)), elsewhere]
    for branch in BRANCHES:
        bitbucket.push(branch, {"keep.py": b"", **dict.fromkeys(PATHS, b"first")})
    for at, (step, who, branch, paths, away) in enumerate(steps):
        redis_relay.mode = "refuse" if away else "pass"
        if step in ("commit", "remove"):
            content = str(at) if step == "commit" else None
            pair[who].commit_multiple_files(branch, [{"path": path, "content": content} for path in paths], "Change")
        elif step == "push":
            bitbucket.push(branch, dict.fromkeys(paths, b"pushed"))
            elsewhere.forget_branch(branch)
        elif step == "flush":
            twin.redis.flushall()
        if away:
            assert seen(pair[0], branch) == there(bitbucket, branch)
            redis_relay.mode = "pass"
            twin.until(lambda: client.available)
        for cache in pair:  # the first tells Redis what it could not tell before
            assert seen(cache, branch) == there(bitbucket, branch)
    for branch in BRANCHES:
        assert [seen(cache, branch) for cache in pair] == [there(bitbucket, branch)] * 2
    assert all(twin.redis.pttl(key) != -1 for key in twin.redis.scan_iter())
