"""What is asked of a language model, what it answers, and why an answer may be of no use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

import msgspec

ChatMessage: TypeAlias = Mapping[str, Any]
"""As in OpenAI's chat: {"role": ..., "content": ...}."""

Reason: TypeAlias = Literal["truncated", "refused", "unusable"]

NOT_ONE_TEXT = ("stream", "n", "tools", "functions")
"""Options whose answer is more, or something else, than one text."""


class InvalidRequest(ValueError):
    """No request for one answer in text. The message begins with the argument's name."""


@dataclass(frozen=True, slots=True)
class LLMRequest:
    """`options` are what the model takes besides: temperature, max_tokens, seed, response_format.

    Raises InvalidRequest.
    """

    model: str
    messages: tuple[ChatMessage, ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.model:
            raise InvalidRequest(f"model is {self.model!r}, must be the name of one")
        if not self.messages or not all(hasattr(message, "keys") for message in self.messages):
            raise InvalidRequest(f"messages is {self.messages!r:.80}, must be at least one, each a mapping")
        for name in NOT_ONE_TEXT:
            if self.options.get(name) and not (name == "n" and self.options[name] == 1):
                raise InvalidRequest(f"options[{name!r}] is not taken: an answer here is one text, whole")


class LLMAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`finish_reason` is "stop" if the model had said all, "length" or "content_filter" if it was cut off."""

    content: str
    finish_reason: str
    model: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    refusal: str | None = None
    answered_at: datetime = msgspec.field(default_factory=lambda: datetime.now(UTC))

    @property
    def tokens_used(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def text(self) -> str:
        """The content. Raises AnswerRejected if it is cut off, empty, or a refusal."""
        if self.refusal is not None:
            raise AnswerRejected("refused", self, f"the model refused: {self.refusal}")
        if self.finish_reason != "stop":
            raise AnswerRejected("truncated", self, f"finish_reason is {self.finish_reason!r}, not 'stop'")
        if not self.content.strip():
            raise AnswerRejected("unusable", self, "the answer is empty")
        return self.content


class AnswerRejected(Exception):
    """The model answered, and the answer is of no use. It is in `answer`; nothing was cached, and there is no
    substitute: whoever commits answers must not commit a made-up one."""

    def __init__(self, reason: Reason, answer: LLMAnswer, why: str) -> None:
        super().__init__(why)
        self.reason = reason
        self.answer = answer
