# Generated from ../asyncio/openai_chat.py by tools/sync_twins.py: change that file, then run the tool.
"""openai_chat: OpenAI's client, or one of its shape, as the language model of an LLMCache.

    model = openai_chat(openai.AsyncOpenAI())       # the sync twin takes openai.OpenAI()
    answers = LLMCache(redis, model, model="gpt-4o")

It imports nothing: whatever has `chat.completions.create` will do. The client keeps its own timeouts and retries; what
it raises is raised to those who asked, and nothing is kept.
"""

from __future__ import annotations

from typing import Any

from redis_perf_reference.llm import LLMAnswer, LLMRequest
from redis_perf_reference.sync.llm_cache import LanguageModel


def openai_chat(client: Any) -> LanguageModel:
    def ask(request: LLMRequest, /) -> LLMAnswer:
        messages = [dict(message) for message in request.messages]
        response = client.chat.completions.create(model=request.model, messages=messages, **request.options)
        return _answer(response)

    return ask


def _answer(response: Any) -> LLMAnswer:
    """Servers that speak OpenAI's language do not all send a usage, or, in trouble, a choice."""
    usage, choices = response.usage, response.choices or []
    return LLMAnswer(
        content=(choices[0].message.content or "") if choices else "",
        finish_reason=(choices[0].finish_reason or "none") if choices else "none",
        refusal=getattr(choices[0].message, "refusal", None) if choices else None,
        model=response.model or "",
        prompt_tokens=usage.prompt_tokens if usage else 0,
        completion_tokens=usage.completion_tokens if usage else 0,
    )
