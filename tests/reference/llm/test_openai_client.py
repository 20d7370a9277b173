"""OpenAI's own client, sync and asyncio, before an LLMCache, against a server on loopback that speaks its protocol."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from pytest_redisperf import RedisPerf
from redis_perf import exactly
from redis_perf_reference.llm import AnswerRejected, LLMRequest

openai = pytest.importorskip("openai", reason="the package openai is not installed")

REQUEST = LLMRequest("gpt-4o", ({"role": "user", "content": "Hello"},), {"temperature": 0, "max_tokens": 10})


class Completions(ThreadingHTTPServer):
    """POST /v1/chat/completions: answers with `status` and `choice`, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = 200
        self.message: dict[str, Any] = {"role": "assistant", "content": "Hi"}
        self.finish_reason = "stop"
        self.usage: dict[str, int] | None = {"prompt_tokens": 8, "completion_tokens": 2, "total_tokens": 10}
        self.choices = 1
        self.asked: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        if self.status != 200:
            return {"error": {"message": "slow down", "type": "rate_limit", "code": None, "param": None}}
        choice = {"index": 0, "message": self.message, "finish_reason": self.finish_reason, "logprobs": None}
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": f"{asked['model']}-2024-08-06",
            "choices": [choice] * self.choices,
            "usage": self.usage,
        }


class Handler(BaseHTTPRequestHandler):
    server: Completions
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(asked)
        body = json.dumps(self.server.answer(asked)).encode()
        self.send_response(self.server.status if self.path == "/v1/chat/completions" else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server() -> Iterator[Completions]:
    with Completions() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def cache(twin: Any, build: Any, server: Completions) -> Any:
    kind = openai.OpenAI if twin.name == "sync" else openai.AsyncOpenAI
    client = twin.closing(kind(base_url=server.url, api_key="none", max_retries=0))
    module = twin.module("llm_cache")
    prices = {"gpt-4o": module.Price(1, 1)}
    return twin.face(build(ask=twin.module("openai_chat").openai_chat(client), prices=prices))


def test_the_second_answer_costs_one_round_trip_and_no_request(
    redisperf: RedisPerf, cache: Any, server: Completions
) -> None:
    with redisperf.budget(redis=exactly(2)):
        first = cache.complete(REQUEST)
    with redisperf.budget(redis=exactly(1)):
        assert cache.complete(REQUEST) == first
    assert (first.content, first.model, first.tokens_used) == ("Hi", "gpt-4o-2024-08-06", 10)
    assert server.asked == [
        {
            "model": "gpt-4o",
            "messages": [{"role": "user", "content": "Hello"}],
            "temperature": 0,
            "max_tokens": 10,
        }
    ]
    assert cache.get_stats().cost_saved == pytest.approx(10e-6)  # priced by the model that was asked for


def test_the_three_tasks_ask_with_their_prompts(cache: Any, server: Completions) -> None:
    server.message = {"role": "assistant", "content": '```json\n{"modifications": []}\n```'}
    assert cache.generate_code_diff("a.py", "x = 1", "fix it", {"language": "Python"}) == []
    system, user = server.asked[0]["messages"]
    assert (system["role"], user["role"], server.asked[0]["temperature"]) == ("system", "user", 0.1)
    assert json.loads(user["content"]) == {
        "file": "a.py",
        "content": "x = 1",
        "issue": "fix it",
        "project": {"language": "Python"},
    }


@pytest.mark.parametrize(("status", "error"), [(429, "RateLimitError"), (500, "InternalServerError")])
def test_an_error_of_the_server_is_raised_and_not_kept(
    twin: Any, cache: Any, server: Completions, status: int, error: str
) -> None:
    server.status = status
    for _ in range(2):
        with pytest.raises(getattr(openai, error)):
            cache.complete(REQUEST)
    assert (len(server.asked), twin.redis.keys("llm:*")) == (2, [])


@pytest.mark.parametrize(
    "answer",
    [
        {"finish_reason": "length"},
        {"message": {"role": "assistant", "content": None, "refusal": "I may not."}},
        {"message": {"role": "assistant", "content": None}},
        {"choices": 0},
    ],
    ids=["cut off", "refused", "empty", "no choice"],
)
def test_half_an_answer_is_handed_out_and_not_kept(
    twin: Any, cache: Any, server: Completions, answer: dict[str, Any]
) -> None:
    for name, value in answer.items():
        setattr(server, name, value)
    for _ in range(2):
        with pytest.raises(AnswerRejected):
            cache.complete(REQUEST).text()
    assert (len(server.asked), twin.redis.keys("llm:*")) == (2, [])


def test_a_server_that_does_not_count_tokens_is_taken(cache: Any, server: Completions) -> None:
    server.usage = None
    assert [cache.complete(REQUEST).tokens_used for _ in range(2)] == [0, 0]
    assert len(server.asked) == 1
