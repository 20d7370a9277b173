"""A cache of a language model's answers as it was found, ported faithfully to be measured. Do not copy it: its bugs are

in the keys: the first 500 characters of a file stand for all of it, so an edit further down gets the old diff; parts
are joined by "|", so ("a|b", "c") is ("a", "b|c"); the project's context, the prompts and the temperature are left out,
so answers outlive them; 64 bits of the hash are few.

in what is kept: an answer that was cut off (finish_reason "length") is kept for days; an empty list of modifications
never is. Any failure, also one of Redis, becomes a made-up answer that the caller cannot tell from a real one, and
commits.

beside that: 20 who ask at once are 20 calls of the model, each paid for. Whether Redis is there is decided once.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

WEEK_SECONDS, DAY_SECONDS = 7 * 24 * 3600, 24 * 3600


class NaiveLLMHandler:
    """`redis` is a redis-py client, `client` is OpenAI's or one of its shape, or None."""

    def __init__(self, redis: Any, client: Any, model: str = "gpt-4o", max_tokens: int = 4000) -> None:
        self._redis, self.client, self.model, self.max_tokens = redis, client, model, max_tokens
        try:
            self.cache_enabled = bool(redis.ping())
        except Exception:
            self.cache_enabled = False

    def convert_issue_to_spec(self, issue: dict[str, Any]) -> str:
        summary = issue.get("fields", {}).get("summary", "")
        description = json.dumps(issue.get("fields", {}).get("description", ""))
        key = self._generate_cache_key("spec", f"{summary}|{description}")
        cached = self._cached(key)
        if cached:
            return str(cached["spec_content"])
        failed = f"# Specification\n\n- Summary: {summary}\n\n(conversion failed)"
        if not self.client:
            return failed
        try:
            content, tokens = self._ask(f"Write a specification.\n{summary}\n{description}")
            self._keep(key, {"spec_content": content, "tokens_used": tokens}, WEEK_SECONDS)
        except Exception:
            return failed
        return content

    def generate_code_diff(
        self, file_path: str, current_content: str, issue_description: str, project_context: dict[str, Any]
    ) -> list[dict[str, Any]]:
        key = self._generate_cache_key("diff", f"{file_path}|{current_content[:500]}|{issue_description}")
        cached = self._cached(key)
        if cached:
            return list(cached["modifications"])
        try:
            prompt = f"Write a diff.\n{file_path}\n{current_content}\n{issue_description}\n{project_context}"
            modifications: list[dict[str, Any]] = json.loads(self._ask(prompt)[0]).get("modifications", [])
            if modifications:
                self._keep(key, {"modifications": modifications, "file_path": file_path}, DAY_SECONDS)
        except Exception:
            return self._mock_code_diff(current_content, issue_description)
        return modifications

    def generate_new_file(self, file_path: str, issue_description: str, project_context: dict[str, Any]) -> str:
        key = self._generate_cache_key("newfile", f"{file_path}|{issue_description}")
        cached = self._cached(key)
        if cached:
            return str(cached["file_content"])
        try:
            content = self._ask(f"Write a file.\n{file_path}\n{issue_description}\n{project_context}")[0]
            self._keep(key, {"file_content": content, "file_path": file_path}, DAY_SECONDS)
        except Exception:
            return self._mock_new_file(file_path, issue_description)
        return content

    def _generate_cache_key(self, prefix: str, content: str) -> str:
        return f"llm:{prefix}:{self.model}:{hashlib.sha256(content.encode()).hexdigest()[:16]}"

    def _ask(self, prompt: str) -> tuple[str, int]:
        messages = [{"role": "user", "content": prompt}]
        response = self.client.chat.completions.create(
            model=self.model, messages=messages, temperature=0.1, max_tokens=self.max_tokens
        )
        return response.choices[0].message.content, response.usage.total_tokens

    def _cached(self, key: str) -> Any:
        if not self.cache_enabled:
            return None
        try:
            cached = self._redis.get(key)
            return json.loads(cached) if cached else None
        except Exception:
            return None

    def _keep(self, key: str, value: dict[str, Any], ttl: int) -> None:
        if not self.cache_enabled:
            return
        stamped = {**value, "timestamp": datetime.now().isoformat(), "model": self.model}
        self._redis.set(key, json.dumps(stamped, ensure_ascii=False), ex=ttl)

    def _mock_code_diff(self, current_content: str, issue_description: str) -> list[dict[str, Any]]:
        return [{"line_start": 1, "line_end": 1, "new_content": f"# TODO: {issue_description}", "description": "mock"}]

    def _mock_new_file(self, file_path: str, issue_description: str) -> str:
        return f"# {file_path}\n# TODO: {issue_description}\n"
