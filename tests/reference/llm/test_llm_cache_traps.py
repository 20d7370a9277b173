"""The ways in which caches like this were seen to answer wrongly, or to pay twice; tests for each."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from redis_perf_reference.cache_input import InvalidTtl
from redis_perf_reference.codec import Unencodable
from redis_perf_reference.llm import AnswerRejected, InvalidRequest, LLMRequest
from redis_perf_reference.llm_tasks import Prompts

ISSUE = {"fields": {"summary": "a|b", "description": "c"}}
REQUEST = LLMRequest("gpt-4o", ({"role": "user", "content": "Hello"},), {"temperature": 0.1})
DIFF = json.dumps({"modifications": [{"line_start": 1}]})


def key_of(twin: Any) -> bytes:
    (key,) = twin.redis.keys("llm:*")
    return bytes(key)


def test_trap_16_twenty_who_ask_at_once_are_one_call_of_the_model(
    twin: Any, build: Any, model: Any, joined: Any
) -> None:
    cache = build()
    model.during = lambda: joined.until(20)
    assert twin.together([lambda: cache.convert_issue_to_spec(ISSUE)] * 20) == ["# Specification\n"] * 20
    assert model.calls == 1
    assert (cache.get_stats().calls, cache.get_stats().hits) == (1, 19)


def test_trap_20_without_redis_the_model_answers(twin: Any, build: Any, model: Any, redis_relay: Any) -> None:
    cache = twin.face(build(twin.client(redis_relay.address)))
    redis_relay.mode = "refuse"
    assert [cache.convert_issue_to_spec(ISSUE) for _ in range(2)] == ["# Specification\n"] * 2
    assert cache.convert_issue_to_spec(ISSUE, refresh=True) == "# Specification\n"
    assert model.calls == 3


def test_trap_61_a_key_is_256_bits_and_the_same_in_every_process(twin: Any, cache: Any) -> None:
    cache.complete(REQUEST)
    script = f"""
from redis_perf_reference.llm import LLMRequest
from redis_perf_reference.sync.llm_cache import LLMCache
from redis_perf_reference.sync.client import RedisClient
print(LLMCache(RedisClient({twin.redis_url!r}), None).complete({REQUEST!r}).content)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("# Specification\n\n", "")  # a hit: there is no model to ask
    prefix, tenant, kind, model, digest = key_of(twin).split(b":")
    assert (prefix, tenant, kind, model) == (b"llm", b"default", b"chat", b"gpt-4o")
    assert len(bytes.fromhex(digest.decode())) * 8 == 256


def test_trap_62_an_edit_far_down_in_the_file_is_another_request(cache: Any, naive: Any, model: Any) -> None:
    model.content = DIFF
    for handler, calls in ((cache, 2), (naive, 1)):
        model.asked.clear()
        for end in ("x", "y"):
            handler.generate_code_diff("a.py", "#" * 600 + end, "do", {})
        assert model.calls == calls


def test_trap_63_no_two_requests_have_the_same_key_however_their_parts_are_cut(
    cache: Any, naive: Any, model: Any
) -> None:
    model.content = "x = 1"
    for handler, calls in ((cache, 2), (naive, 1)):
        model.asked.clear()
        for path, issue in (("a|b", "c"), ("a", "b|c")):
            handler.generate_new_file(path, issue, {})
        assert model.calls == calls


@pytest.mark.parametrize(
    "other",
    [
        {"model": "gpt-4o-mini"},
        {"options": {"temperature": 0.2}},
        {"options": {"temperature": 0.1, "max_tokens": 10}},
        {"prompts": Prompts(new_file="Write it in Rust.")},
        {"schema_version": 2},
        {"tenant": "another"},
        {"tenant": "default:newfile"},
    ],
    ids=str,
)
def test_trap_64_whatever_the_answer_depends_on_is_in_the_key(
    twin: Any, cache: Any, build: Any, model: Any, other: dict[str, Any]
) -> None:
    for asked in (cache, twin.face(build(**other))):
        asked.generate_new_file("a.py", "do", {})
    assert model.calls == 2


def test_trap_64_the_projects_context_is_in_the_key(cache: Any, naive: Any, model: Any) -> None:
    for handler, calls in ((cache, 2), (naive, 1)):
        model.asked.clear()
        for context in ({"language": "Python"}, {"language": "Rust"}):
            handler.generate_new_file("a", "do", context)
        assert model.calls == calls


def test_a_model_that_takes_no_options_is_asked_without(twin: Any, build: Any, model: Any) -> None:
    twin.face(build(options={})).convert_issue_to_spec(ISSUE)
    assert model.asked[0].options == {}
    assert LLMRequest("gpt-4o", REQUEST.messages, {"n": 1}).options == {"n": 1}


def test_one_tasks_answer_is_not_anothers(cache: Any, model: Any) -> None:
    model.content = DIFF
    request = model.asked
    cache.generate_code_diff("a.py", "x", "do", {})
    cache.complete(request[0])
    assert model.calls == 2


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        ({"finish_reason": "length"}, "truncated", "finish_reason is 'length', not 'stop'"),
        ({"finish_reason": "content_filter"}, "truncated", "finish_reason is 'content_filter', not 'stop'"),
        ({"refusal": "I may not."}, "refused", "the model refused: I may not."),
        ({"content": " \n"}, "unusable", "the answer is empty"),
    ],
    ids=["cut off", "filtered", "refused", "empty"],
)
def test_trap_65_half_an_answer_is_an_error_and_is_not_kept(
    twin: Any, cache: Any, model: Any, answer: dict[str, str], reason: str, words: str
) -> None:
    for name, value in answer.items():
        setattr(model, name, value)
    for call in (cache.convert_issue_to_spec, lambda issue: cache.convert_issue_to_spec(issue, refresh=True)):
        with pytest.raises(AnswerRejected, match=words) as rejected:
            call(ISSUE)
        assert (rejected.value.reason, rejected.value.answer.content) == (reason, model.content)
        assert twin.redis.keys("llm:*") == []
    assert cache.get_stats().rejected == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("I cannot do that.", "no JSON with modifications"),
        ('{"changes": []}', "no JSON with modifications"),
        ('{"modifications": "none"}', "modifications is no list of objects"),
        ('{"modifications": [1]}', "modifications is no list of objects"),
        ("```json\n{", "a code block begins and does not end"),
        ("```json\n{}\n```\n```json\n{}\n```", "2 code blocks, must be one"),
    ],
)
def test_trap_65_an_answer_that_cannot_be_read_is_an_error_and_is_not_kept(
    twin: Any, cache: Any, model: Any, content: str, words: str
) -> None:
    model.content = content
    with pytest.raises(AnswerRejected, match=words):
        cache.generate_code_diff("a.py", "x", "do", {})
    assert twin.redis.keys("llm:*") == []
    model.content = DIFF
    assert cache.generate_code_diff("a.py", "x", "do", {}) == [{"line_start": 1}]


def test_trap_65_a_failure_is_raised_and_nothing_is_made_up(twin: Any, cache: Any, naive: Any, model: Any) -> None:
    model.error = ConnectionError("no route")
    for call in (
        lambda handler: handler.convert_issue_to_spec(ISSUE),
        lambda handler: handler.generate_code_diff("a.py", "x", "do", {}),
        lambda handler: handler.generate_new_file("a.py", "do", {}),
    ):
        with pytest.raises(ConnectionError, match="no route"):
            call(cache)
        assert call(naive)  # which somebody will commit
    assert twin.redis.keys("llm:*") == []


def test_trap_65_the_naive_handler_keeps_half_an_answer(naive: Any, model: Any) -> None:
    model.finish_reason = "length"
    assert [naive.convert_issue_to_spec(ISSUE) for _ in range(2)] == [model.content] * 2
    assert model.calls == 1


def test_trap_65_those_who_wait_for_half_an_answer_are_told(twin: Any, build: Any, model: Any) -> None:
    cache, model.finish_reason = build(), "length"
    model.during = lambda: twin.until_scripts_run(5)
    twin.redis.config_resetstat()
    answers = twin.together([lambda: cache.convert_issue_to_spec(ISSUE)] * 5)
    assert [type(answer) for answer in answers] == [AnswerRejected] * 5
    assert model.calls == 1


def test_a_refresh_that_fails_leaves_the_answer_there_is(cache: Any, model: Any) -> None:
    cache.convert_issue_to_spec(ISSUE)
    model.finish_reason = "length"
    with pytest.raises(AnswerRejected):
        cache.convert_issue_to_spec(ISSUE, refresh=True)
    assert cache.convert_issue_to_spec(ISSUE) == "# Specification\n"


def test_trap_66_that_nothing_is_to_be_changed_is_kept_for_a_while(
    twin: Any, cache: Any, naive: Any, model: Any
) -> None:
    model.content = '{"modifications": []}'
    for handler, calls in ((naive, 2), (cache, 1)):
        model.asked.clear()
        assert [handler.generate_code_diff("a.py", "x", "do", {}) for _ in range(2)] == [[], []]
        assert model.calls == calls
    assert 290_000 < twin.redis.pttl(key_of(twin)) <= 300_000


def test_answers_are_kept_for_a_week_and_a_day(twin: Any, cache: Any, model: Any) -> None:
    for content, call, hours in (
        ("# Spec", lambda: cache.convert_issue_to_spec(ISSUE), 7 * 24),
        (DIFF, lambda: cache.generate_code_diff("a.py", "x", "do", {}), 24),
        ("x = 1", lambda: cache.generate_new_file("a.py", "do", {}), 24),
        ("Hi", lambda: cache.complete(REQUEST, ttl=3600), 1),
    ):
        model.content = content
        call()
        assert -(-twin.redis.pttl(key_of(twin)) // 3_600_000) == hours
        assert cache.clear() == 1


@pytest.mark.parametrize("content", ["x" * 101, "\ud800"], ids=["too long", "no UTF-8"])
def test_an_answer_that_redis_cannot_or_may_not_hold_is_handed_out(
    twin: Any, build: Any, model: Any, content: str
) -> None:
    cache, model.content = twin.face(build(max_bytes=100)), content
    assert cache.complete(REQUEST).content == content
    assert twin.redis.keys("llm:*") == []


def test_tokens_and_money_are_accounted_for(twin: Any, build: Any, model: Any) -> None:
    module = twin.module("llm_cache")
    cache = build(prices={"gpt-4o": module.Price(prompt=2.5, completion=10.0)})
    face = twin.face(cache)
    for _ in range(4):
        face.complete(REQUEST)
    face.complete(REQUEST, refresh=True)
    face.complete(REQUEST, use_cache=False)
    face.complete(LLMRequest("no price", REQUEST.messages))
    stats = cache.get_stats()
    assert (stats.calls, stats.hits, stats.tokens_used, stats.tokens_saved) == (4, 3, 4400, 3300)
    assert (round(stats.cost, 9), round(stats.cost_saved, 9)) == (0.0105, 0.0105)
    assert stats.hit_rate == pytest.approx(3 / 7)


def test_the_answer_tells_when_it_was_given_and_what_it_took(cache: Any) -> None:
    answers = [cache.complete(REQUEST) for _ in range(2)]
    assert answers[0] == answers[1]
    assert (answers[1].model, answers[1].tokens_used, answers[1].finish_reason) == ("gpt-4o", 1100, "stop")


def test_trap_26_clearing_leaves_the_other_tenants_and_everybody_else(
    twin: Any, cache: Any, build: Any, model: Any
) -> None:
    other = twin.face(build(tenant="def*"))
    for asked in (cache, other):
        asked.complete(REQUEST)
    twin.redis.set("llm:default", "somebody else's")
    assert (other.clear(), cache.clear(), cache.clear()) == (1, 1, 0)
    assert twin.redis.keys() == [b"llm:default"]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda cache: cache.convert_issue_to_spec({"summary": "x"}), InvalidRequest, "issue has no fields"),
        (
            lambda cache: cache.generate_new_file("a.py", "do", {1, 2}),
            InvalidRequest,
            "file or issue or project is no JSON",
        ),
        (lambda cache: LLMRequest("", REQUEST.messages), InvalidRequest, "model is ''"),
        (lambda cache: LLMRequest("gpt-4o", ()), InvalidRequest, "messages is ()"),
        (lambda cache: LLMRequest("gpt-4o", ("Hello",)), InvalidRequest, "messages is "),
        (lambda cache: LLMRequest("m", REQUEST.messages, {"stream": True}), InvalidRequest, "options['stream']"),
        (lambda cache: LLMRequest("m", REQUEST.messages, {"n": 2}), InvalidRequest, "options['n']"),
        (
            lambda cache: cache.complete(LLMRequest("m", REQUEST.messages, {"stop": {"a"}})),
            Unencodable,
            "request['options']['stop'] is set",
        ),
        (lambda cache: cache.complete(REQUEST, ttl=0), InvalidTtl, "ttl is 0 seconds"),
    ],
)
def test_a_bad_request_is_refused_by_name_and_nobody_is_asked(
    twin: Any, cache: Any, model: Any, call: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as refused:
        call(cache)
    assert str(refused.value).startswith(words)
    assert (model.calls, twin.redis.dbsize()) == (0, 0)
