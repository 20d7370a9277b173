"""The three things asked of a language model on the way from an issue to a commit: prompts, and reading the answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from redis_perf_reference.fenced import Unclosed, fenced_blocks
from redis_perf_reference.llm import AnswerRejected, ChatMessage, InvalidRequest, LLMAnswer

T = TypeVar("T")
Modification = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Task(Generic[T]):
    """`read` makes of an answer what was asked for, or raises AnswerRejected. Its results are kept `ttl` seconds."""

    kind: str
    read: Callable[[LLMAnswer], T]
    ttl: float


@dataclass(frozen=True, slots=True)
class Prompts:
    """What the model is told before the request itself."""

    spec: str = "Write a specification in Markdown for this issue. Answer with the Markdown alone."
    diff: str = (
        "Say how to change this file to resolve the issue. Answer with JSON alone: "
        '{"modifications": [{"line_start": 1, "line_end": 1, "new_content": "...", "description": "..."}]}; '
        "an empty list if nothing is to be changed."
    )
    new_file: str = (
        "Write this file to resolve the issue. Answer with one fenced code block, "
        "its fence longer than any in the file."
    )

    def for_spec(self, issue: Mapping[str, Any]) -> tuple[ChatMessage, ...]:
        """`issue` is Jira's, with `fields.summary` and `fields.description` (text, or an Atlassian document)."""
        fields = issue.get("fields")
        if not isinstance(fields, Mapping):
            raise InvalidRequest(f"issue has no fields: {issue!r:.80}")
        return _asked(self.spec, {"summary": fields.get("summary", ""), "description": fields.get("description", "")})

    def for_diff(self, file_path: str, current_content: str, issue: str, context: Any) -> tuple[ChatMessage, ...]:
        parts = {"file": file_path, "content": current_content, "issue": issue, "project": context}
        return _asked(self.diff, parts)

    def for_new_file(self, file_path: str, issue: str, context: Any) -> tuple[ChatMessage, ...]:
        return _asked(self.new_file, {"file": file_path, "issue": issue, "project": context})


def modifications_in(answer: LLMAnswer) -> list[Modification]:
    """What is to be changed, which may be nothing."""
    text = code_in(answer)
    try:
        found = json.loads(text)["modifications"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _unusable(answer, f"no JSON with modifications: {error!r}") from error
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise _unusable(answer, "modifications is no list of objects")
    return found


def code_in(answer: LLMAnswer) -> str:
    """What stands in its only code block; all of an answer that has none. Several would leave us to guess."""
    text = answer.text()
    try:
        blocks = fenced_blocks(text)
    except Unclosed as error:
        raise _unusable(answer, str(error)) from error
    if len(blocks) > 1:
        raise _unusable(answer, f"{len(blocks)} code blocks, must be one")
    return blocks[0] if blocks else text


def _asked(prompt: str, parts: Mapping[str, Any]) -> tuple[ChatMessage, ...]:
    """As JSON, so that no part can pass for another."""
    try:
        content = json.dumps(parts, ensure_ascii=False, sort_keys=True)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"{' or '.join(parts)} is no JSON: {error}") from error
    return ({"role": "system", "content": prompt}, {"role": "user", "content": content})


def _unusable(answer: LLMAnswer, why: str) -> AnswerRejected:
    return AnswerRejected("unusable", answer, why)
