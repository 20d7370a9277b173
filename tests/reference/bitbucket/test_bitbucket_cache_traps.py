"""The ways in which caches like this were seen to answer wrongly, or to ask too often; tests for each."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_redisperf import RedisPerf
from redis_perf_reference.bitbucket import BitbucketError, DirectoryEntry, InvalidName, NotText, RepositoryKeys, file

FILE_KEY = b"bb:{acme/sdb}:branch=master:file:a.py"


def keys_of(twin: Any) -> set[bytes]:
    return set(twin.redis.keys("bb:*"))


def test_trap_15_an_empty_file_is_a_hit(cache: Any, naive: Any, bitbucket: Any) -> None:
    for asked, requests in ((naive, 2), (cache, 1)):
        bitbucket.requests.clear()
        assert [asked.get_file_content("empty.txt") for _ in range(2)] == ["", ""]
        assert len(bitbucket.requests) == requests


def test_trap_16_twenty_who_ask_at_once_are_one_request(twin: Any, build: Any, bitbucket: Any) -> None:
    cache = build()
    bitbucket.meanwhile = lambda path: twin.until_scripts_run(20)  # all have looked
    twin.redis.config_resetstat()
    assert twin.together([lambda: cache.get_file_content("a.py")] * 20) == ["a"] * 20
    assert len(bitbucket.requests) == 1


def test_trap_20_without_redis_the_api_answers(twin: Any, build: Any, bitbucket: Any, redis_relay: Any) -> None:
    cache = twin.face(build(twin.client(redis_relay.address)))
    redis_relay.mode = "refuse"
    assert cache.get_files(["a.py", "missing.py"]) == {"a.py": b"a", "missing.py": None}
    assert cache.list_directory("src/deep") == [DirectoryEntry("src/deep/c.bin", False, 2)]
    assert cache.get_branch_head() == bitbucket.branches["master"]
    committed = cache.commit_file("master", "a.py", "new", "Change it")
    assert (committed.commit, committed.skipped is None) == (bitbucket.branches["master"], False)
    assert cache.get_file_content("a.py") == "new"


def test_trap_26_a_push_by_others_forgets_that_branch_alone(twin: Any, cache: Any, bitbucket: Any) -> None:
    bitbucket.push("master2", {"a.py": b"2"})
    for branch in ("master", "master2"):
        cache.get_file_content("a.py", branch)
        cache.get_branch_head(branch)
    cache.get_file_content("a.py", commit=bitbucket.branches["master"])
    twin.redis.set("bb:", "somebody else's")
    bitbucket.push("master", {"a.py": b"pushed"})
    assert cache.get_file_content("a.py") == "a"
    assert (cache.forget_branch("master"), cache.forget_branch("master")) == (2, 0)
    assert cache.get_file_content("a.py") == "pushed"
    assert len(keys_of(twin)) == 5


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@given(TEXT, TEXT, TEXT, TEXT)
def test_trap_63_no_two_files_have_the_same_key(branch: str, path: str, other_branch: str, other_path: str) -> None:
    keys = RepositoryKeys("acme", "sdb")
    one, other = file(keys.branch(branch), path), file(keys.branch(other_branch), other_path)
    assert (one == other) == ((branch, path) == (other_branch, other_path))
    assert "{acme/sdb}" in one
    assert one.isprintable()


def test_trap_63_odd_names_are_read_and_committed_and_nobody_elses(cache: Any, bitbucket: Any) -> None:
    names = ["a:b", "a%3Ab", "ä b.py", "q?x=1#y", "message", "[a*]", 'say "hi"', "files", "branch"]
    bitbucket.push("master", {name: name.encode() for name in names})
    assert cache.get_files(names) == {name: name.encode() for name in names}
    cache.commit_multiple_files(
        "master", [{"path": "message", "content": "m"}, {"path": "ä b.py", "content": b"\xff"}], "x"
    )
    assert cache.get_files(["message", "ä b.py", "a:b"]) == {"message": b"m", "ä b.py": b"\xff", "a:b": b"a:b"}


def test_trap_67_a_commit_forgets_files_directories_and_head(cache: Any, naive: Any, bitbucket: Any) -> None:
    for asked in (naive, cache):
        asked.get_file_content("src/b.py")
        asked.get_file_content_raw("src/b.py")
        asked.list_directory("src")
        asked.get_branch_head("master")
    cache.list_directory()
    cache.list_directory("src/new")
    cache.commit_multiple_files(
        "master",
        [{"path": "src/new/d.py", "content": "d"}, {"path": "/src/b.py", "content": "newer"}],
        "Add and change",
    )
    assert (cache.get_file_content("src/b.py"), cache.get_file_content_raw("src/b.py")) == ("newer", b"newer")
    assert cache.get_file_content("src/new/d.py") == "d"
    assert cache.list_directory("src/new") == [DirectoryEntry("src/new/d.py", False, 1)]
    assert DirectoryEntry("src/new", True, None) in cache.list_directory("src")
    assert DirectoryEntry("src/b.py", False, 5) in cache.list_directory("src")
    assert len(cache.list_directory()) == 3
    assert cache.get_branch_head("master") == bitbucket.branches["master"]
    naive.commit_file("master", "src/new/e.py", "e", "Add it")
    assert naive.list_directory("src") == ["src/b.py", "src/deep"]
    assert naive.get_branch_head("master") != bitbucket.branches["master"]


def test_trap_67_what_is_beside_the_commit_stays_cached(cache: Any, bitbucket: Any) -> None:
    cache.get_file_content("a.py")
    cache.list_directory("src/deep")
    bitbucket.requests.clear()
    cache.commit_file("master", "src/b.py", "newer", "Change it")
    cache.get_file_content("a.py")
    cache.list_directory("src/deep")
    assert bitbucket.requests == ["POST src"]


def test_trap_67_a_deleted_file_is_gone(cache: Any) -> None:
    cache.list_directory("src")
    cache.get_file_content("src/b.py")
    cache.commit_multiple_files("master", [{"path": "src/b.py", "content": None}], "Remove it")
    assert cache.get_file_content("src/b.py") is None
    assert cache.list_directory("src") == [DirectoryEntry("src/deep", True, None)]


def test_trap_68_a_read_under_way_does_not_bring_the_old_file_back(
    cache: Any, elsewhere: Any, naive: Any, bitbucket: Any
) -> None:
    for reader, writer, after in ((naive, naive, "a"), (cache, elsewhere, "new")):
        bitbucket.push("master", {"a.py": b"a"})
        commits = [lambda writer=writer: writer.commit_file("master", "a.py", "new", "Change it")]
        bitbucket.meanwhile = lambda path, left=commits: left.pop()() if path.endswith("a.py") and left else None
        assert reader.get_file_content("a.py") == "a"  # was read before the commit
        assert reader.get_file_content("a.py") == after


def test_trap_68_a_commit_whose_answer_is_lost_forgets_what_it_may_have_changed(cache: Any, bitbucket: Any) -> None:
    cache.get_file_content("a.py")
    bitbucket.failing = {"src": 502}
    with pytest.raises(BitbucketError, match="POST /src: 502"):
        cache.commit_file("master", "a.py", "new", "Change it")
    bitbucket.push("master", {"a.py": b"new"})  # so it was done all the same
    assert cache.get_file_content("a.py") == "new"


def test_trap_68_what_redis_could_not_be_told_it_is_told_before_the_next_read(
    twin: Any, build: Any, redis_relay: Any
) -> None:
    cache = twin.face(build(twin.client(redis_relay.address, probe_seconds=0.01)))
    cache.get_file_content("a.py")
    cache.get_branch_head()
    redis_relay.mode = "refuse"
    committed = cache.commit_file("master", "a.py", "new", "Change it")
    assert committed.skipped.startswith("Redis ")
    redis_relay.mode = "pass"
    assert FILE_KEY in twin.redis.keys("bb:*")
    twin.until(lambda: cache.list_directory() and FILE_KEY not in twin.redis.keys("bb:*"))
    assert cache.get_file_content("a.py") == "new"


def test_trap_69_a_missing_file_is_kept_for_a_short_time_of_its_own(
    twin: Any, cache: Any, naive: Any, bitbucket: Any
) -> None:
    for asked, requests in ((naive, 2), (cache, 1)):
        bitbucket.requests.clear()
        assert [asked.get_file_content("missing.py") for _ in range(2)] == [None, None]
        assert len(bitbucket.requests) == requests
    (key,) = twin.redis.keys("bb:{*")
    assert 600_000 < twin.redis.pttl(key) <= 630_000  # 30 s, and 600 in which it may stand in for a broken API
    cache.commit_file("master", "missing.py", "there", "Add it")
    assert cache.get_file_content("missing.py") == "there"


def test_trap_69_text_and_bytes_are_one_request_and_one_entry_of_the_files_own_size(
    twin: Any, cache: Any, naive: Any, bitbucket: Any
) -> None:
    body = bytes(range(32, 127)) * 100
    bitbucket.push("master", {"big.txt": body})
    for asked, requests in ((naive, 2), (cache, 1)):
        bitbucket.requests.clear()
        assert (asked.get_file_content("big.txt"), asked.get_file_content_raw("big.txt")) == (body.decode(), body)
        assert len(bitbucket.requests) == requests
    assert twin.redis.strlen("bb:file_raw:acme:sdb:master:big.txt") > 1.33 * len(body)
    assert twin.redis.strlen("bb:{acme/sdb}:branch=master:file:big.txt") < len(body) + 150


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_an_error_is_raised_and_not_kept(twin: Any, cache: Any, bitbucket: Any, status: int) -> None:
    bitbucket.failing = {"a.py": status, "src/deep/": status, "master": status}
    for call in (
        lambda: cache.get_file_content("a.py"),
        lambda: cache.get_files(["a.py", "src/b.py"]),
        lambda: cache.list_directory("src/deep"),
        cache.get_branch_head,
    ):
        with pytest.raises(BitbucketError) as failed:
            call()
        assert (failed.value.status, failed.value.retry_after_seconds) == (status, 7)
    assert keys_of(twin) == {b"bb:{acme/sdb}:branch=master:file:src/b.py"}
    bitbucket.failing = {}
    assert cache.get_file_content("a.py") == "a"


def test_an_error_is_bridged_for_a_while_with_what_was_there(twin: Any, build: Any, bitbucket: Any) -> None:
    cache = twin.face(build(file_ttl=0.001))
    cache.get_file_content("a.py")
    twin.until_ms_passed(3)
    bitbucket.failing = {"a.py": 503}
    assert cache.get_file_content("a.py") == "a"


def test_no_answer_is_an_error_of_the_api(twin: Any, build: Any) -> None:
    api = twin.module("bitbucket_api").BitbucketAPI("http://127.0.0.1:1/2.0", "ada", "secret", "acme", "sdb")
    twin.closing(api)
    cache = twin.face(twin.module("bitbucket_cache").BitbucketCache(twin.client(), api))
    with pytest.raises(BitbucketError, match=r"GET /src/master/a\.py: no answer: ConnectError") as failed:
        cache.get_file_content("a.py")
    assert failed.value.status is None
    assert "secret" not in f"{failed.value}{failed.value.__cause__!r}{api!r}"


def test_a_file_that_changed_elsewhere_is_seen_after_its_time(twin: Any, build: Any, bitbucket: Any) -> None:
    cache = twin.face(build(file_ttl=0.001))
    cache.get_files(["a.py", "missing.py"])
    bitbucket.push("master", {"a.py": b"pushed"}, deleted=("src/b.py",))
    twin.until_ms_passed(3)
    assert cache.get_file_content("a.py") == "pushed"
    assert bitbucket.answers[-1] == 200


def test_an_api_without_etags_is_asked_again(twin: Any, build: Any, bitbucket: Any) -> None:
    bitbucket.etags = False
    cache = twin.face(build(file_ttl=0.001))
    for _ in range(2):
        assert cache.get_file_content("a.py") == "a"
        twin.until_ms_passed(3)
    assert bitbucket.answers == [200, 200]


def test_what_is_read_at_a_commit_is_kept_for_a_week(twin: Any, cache: Any, bitbucket: Any) -> None:
    commit = bitbucket.branches["master"]
    cache.get_file_content("a.py", commit=commit)
    cache.list_directory("src", commit=commit)
    for kind in ("file:a.py", "dir:src"):
        assert twin.redis.pttl(f"bb:{{acme/sdb}}:commit={commit}:{kind}") > 7 * 86_400_000 - 5_000
    bitbucket.push("master", {"a.py": b"newer"})
    cache.commit_file("master", "src/b.py", "newer", "Change it")
    assert cache.get_file_content("a.py", commit=commit) == "a"
    assert DirectoryEntry("src/b.py", False, 1) in cache.list_directory("src", commit=commit)


def test_a_directory_of_many_pages_is_read_to_the_end(cache: Any, bitbucket: Any) -> None:
    bitbucket.push("master", {f"many/{number:03}.py": b"" for number in range(25)})
    bitbucket.page_size = 10
    entries = cache.list_directory("/many/")
    assert [entry.path for entry in entries] == [f"many/{number:03}.py" for number in range(25)]


def test_a_next_page_elsewhere_is_not_asked_with_our_password(cache: Any, bitbucket: Any) -> None:
    bitbucket.page_size, bitbucket.url = 1, "http://127.0.0.1:1/2.0"
    with pytest.raises(BitbucketError, match=r"next page at http://127\.0\.0\.1:1/"):
        cache.list_directory("src")


def test_a_directory_is_no_file_and_a_file_no_directory(cache: Any) -> None:
    assert (cache.get_file_content("src"), cache.list_directory("a.py"), cache.list_directory("gone")) == (None,) * 3


def test_what_is_no_text_is_refused_as_text(cache: Any) -> None:
    with pytest.raises(NotText, match=r"'src/deep/c.bin' is not UTF-8: invalid start byte at byte 0"):
        cache.get_file_content("src/deep/c.bin")
    assert cache.get_file_content_raw("src/deep/c.bin") == b"\xff\x00"


def test_a_commit_onto_another_parent_is_refused(cache: Any, bitbucket: Any) -> None:
    parent = bitbucket.branches["master"]
    assert cache.commit_file("master", "a.py", "1", "First", parent).commit == bitbucket.branches["master"]
    with pytest.raises(BitbucketError) as refused:
        cache.commit_file("master", "a.py", "2", "Second", parent)
    assert refused.value.status == 409
    assert cache.get_file_content("a.py") == "1"


def test_a_branch_with_odd_characters_is_read(cache: Any, bitbucket: Any) -> None:
    bitbucket.push("fix#1%2F&ä", {"a.py": b"odd"})
    assert cache.get_file_content("a.py", "fix#1%2F&ä") == "odd"
    assert cache.list_directory("", "fix#1%2F&ä") == [DirectoryEntry("a.py", False, 3)]
    assert cache.get_branch_head("fix#1%2F&ä") == bitbucket.branches["fix#1%2F&ä"]


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"target": 1, "values": [{}]}'])
def test_an_answer_that_is_not_as_documented_is_an_error(twin: Any, cache: Any, bitbucket: Any, body: bytes) -> None:
    bitbucket.odd_answer = body
    for call in (cache.get_branch_head, cache.list_directory):
        with pytest.raises(BitbucketError, match="not as documented"):
            call()
    assert keys_of(twin) == set()


def test_a_branch_that_is_not_there_has_no_files(cache: Any) -> None:
    assert cache.get_branch_head("feature/none") is None
    assert cache.get_file_content("a.py", "feature/none") is None
    assert cache.list_directory("", "feature/none") is None


@pytest.mark.parametrize("path", ["", "/", "a//b", "../secrets", "a/../b", "./a", "a/", "\ud800", 3])
def test_a_path_with_more_than_one_spelling_is_refused(
    redisperf: RedisPerf, cache: Any, bitbucket: Any, path: Any
) -> None:
    with redisperf.budget(redis=0):
        with pytest.raises(InvalidName, match=r"^file_path "):
            cache.get_file_content(path)
        with pytest.raises(InvalidName, match=r"^file_changes\[0\]\['path'\] "):
            cache.commit_file("master", path, "x", "Change it")
    assert bitbucket.requests == []


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda cache: cache.get_file_content("a.py", "../../other"), "branch is '../../other'"),
        (lambda cache: cache.get_branch_head("a b"), "branch is 'a b'"),
        (lambda cache: cache.get_branch_head(""), "branch is ''"),
        (lambda cache: cache.forget_branch("*"), r"branch is '\*'"),
        (lambda cache: cache.get_file_content("a.py", commit="abc1234"), "commit is 'abc1234', must be all 40"),
        (lambda cache: cache.list_directory("a/../b"), "path is 'a/../b'"),
        (lambda cache: cache.commit_multiple_files("master", [], "x"), "file_changes is empty"),
        (lambda cache: RepositoryKeys("..", "sdb"), r"workspace is '\.\.'"),
        (lambda cache: RepositoryKeys("acme", ""), "repository is ''"),
    ],
)
def test_a_bad_name_is_refused_by_argument_and_nothing_is_sent(
    redisperf: RedisPerf, cache: Any, bitbucket: Any, call: Any, words: str
) -> None:
    with redisperf.budget(redis=0), pytest.raises(InvalidName, match=f"^{words}"):
        call(cache)
    assert bitbucket.requests == []


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (None, TypeError, "content is NoneType, must be str or bytes"),
        (3, TypeError, "content is int, must be str or bytes"),
        ("\ud800", NotText, "content has no UTF-8 form"),
    ],
)
def test_a_content_that_is_none_is_refused_and_deletes_nothing(
    cache: Any, bitbucket: Any, content: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=f"^{words}"):
        cache.commit_file("master", "a.py", content, "Change it")
    with pytest.raises((TypeError, NotText), match=r"^file_changes\[0\]\['content'\] "):
        cache.commit_multiple_files("master", [{"path": "a.py", **({"content": content} if content else {})}], "Change")
    assert bitbucket.requests == []


def test_one_path_or_change_is_not_taken_for_several(cache: Any, bitbucket: Any) -> None:
    with pytest.raises(TypeError, match=r"^file_paths is str, must be several"):
        cache.get_files("a.py")
    with pytest.raises(TypeError, match=r"^file_changes\[0\] is str, must be a mapping"):
        cache.commit_multiple_files("master", {"path": "a.py", "content": "x"}, "Change it")
    assert bitbucket.requests == []
