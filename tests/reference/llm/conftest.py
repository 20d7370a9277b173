"""A language model that answers, or fails, as it is told, and LLMCaches that ask it."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from redis_perf_reference.llm import LLMAnswer, LLMRequest
from redis_perf_reference.naive.llm_handler import NaiveLLMHandler


class Model:
    """Answers with `content` and `finish_reason`, or raises `error`. `during` is called while it is being asked."""

    def __init__(self) -> None:
        self.content, self.finish_reason, self.refusal = "# Specification\n", "stop", None
        self.error: Exception | None = None
        self.during: Callable[[], Any] = lambda: None
        self.asked: list[LLMRequest] = []

    @property
    def calls(self) -> int:
        return len(self.asked)

    def __call__(self, request: LLMRequest) -> LLMAnswer:
        self.asked.append(request)
        self.during()
        if self.error is not None:
            raise self.error
        return LLMAnswer(
            content=self.content,
            finish_reason=self.finish_reason,
            refusal=self.refusal,
            model=request.model,
            prompt_tokens=1000,
            completion_tokens=100,
        )


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def build(twin: Any, model: Model) -> Callable[..., Any]:
    """Makes an LLMCache that is connected, on a server that knows the scripts."""
    twin.load_scripts("lease", "fill", "release", "delete", "cache_sweep")

    def built(client: Any = None, ask: Any = None, **options: Any) -> Any:
        client = client or twin.client()
        twin.run(client.ping)
        return twin.module("llm_cache").LLMCache(client, ask or twin.own(model), **{"jitter": 0, **options})

    return built


@pytest.fixture
def cache(twin: Any, build: Callable[..., Any]) -> Any:
    """One, to be called without await."""
    return twin.face(build())


@pytest.fixture
def naive(twin: Any, model: Model) -> NaiveLLMHandler:
    """The handler as it was found."""
    return NaiveLLMHandler(twin.redis, _openai_shaped(model))


def _openai_shaped(model: Any) -> Any:
    """The model in the shape of OpenAI's client."""

    def create(model: str, messages: list[Any], **options: Any) -> Any:
        answer = ask(LLMRequest(model, tuple(messages), options))
        message = SimpleNamespace(content=answer.content)
        return SimpleNamespace(
            choices=[SimpleNamespace(message=message, finish_reason=answer.finish_reason)],
            usage=SimpleNamespace(total_tokens=answer.tokens_used),
        )

    ask = model
    return SimpleNamespace(chat=SimpleNamespace(completions=SimpleNamespace(create=create)))
