"""LLMCache: a language model is asked once for each request, and never answers with less than a whole answer.

| call                              | Redis round trips | calls of the model                                      |
|-----------------------------------|-------------------|---------------------------------------------------------|
| an answer that is cached          | 1                 | 0                                                       |
| one that is not                   | 2                 | 1, for all who ask meanwhile, in all processes          |
| with refresh=True                 | 1                 | 1                                                       |
| with use_cache=False, or no Redis | 0                 | 1                                                       |
| clear                             | 1 for each 1000 keys on the server | 0                                      |

A key is the whole request (model, all messages to the end, all options), the task, the tenant and the schema version,
as 256 bits. Kept is what the model said when it had said all and the task can read it; what is cut off, refused,
unreadable or failed is not, and those who waited for it get the same answer or error.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

from redis_perf_reference.asyncio.batch_cache_aside import BatchCacheAside
from redis_perf_reference.asyncio.client import RedisClient
from redis_perf_reference.cache_input import checked_ttl
from redis_perf_reference.codec import Codec
from redis_perf_reference.fingerprint import fingerprint
from redis_perf_reference.lifetime import WithTtl
from redis_perf_reference.llm import AnswerRejected, ChatMessage, LLMAnswer, LLMRequest
from redis_perf_reference.llm_account import LLMAccount, LLMStats, Price
from redis_perf_reference.llm_tasks import Modification, Prompts, Task, code_in, modifications_in
from redis_perf_reference.observer import SILENT, Observer
from redis_perf_reference.outcomes import CacheUnavailable

T = TypeVar("T")
DAY_SECONDS = 86400.0


class LanguageModel(Protocol):
    """Anything that takes a request and returns an answer; `openai_chat` makes one of OpenAI's client."""

    async def __call__(self, request: LLMRequest, /) -> LLMAnswer: ...


class LLMCache:
    """Answers of `ask`, kept for one `tenant`: no other tenant is answered with them.

    `model`, `options` (a low temperature, if not said) and `prompts` are what the three tasks ask with.
    `schema_version` is yours: raise it when answers are to be read otherwise than before. Empty lists of modifications
    are kept for `empty_ttl`. Let `lease_seconds` be longer than the model takes: until then others wait for a process
    that died while it was asking. Answers above `max_bytes` are not kept.
    """

    def __init__(
        self,
        redis: RedisClient,
        ask: LanguageModel,
        *,
        model: str = "gpt-4o",
        options: Mapping[str, Any] | None = None,
        prompts: Prompts | None = None,
        tenant: str = "default",
        schema_version: int = 1,
        prices: Mapping[str, Price] | None = None,
        spec_ttl: float = 7 * DAY_SECONDS,
        diff_ttl: float = DAY_SECONDS,
        new_file_ttl: float = DAY_SECONDS,
        empty_ttl: float = 300.0,
        jitter: float = 0.1,
        lease_seconds: float = 120.0,
        max_bytes: int = 2**20,
        observer: Observer = SILENT,
    ) -> None:
        self._ask = ask
        self._model, self._prompts = model, prompts or Prompts()
        self._options = {"temperature": 0.1} if options is None else options
        self._tenant, self._schema_version, self._max_bytes = tenant, schema_version, max_bytes
        self._spec = Task("spec", LLMAnswer.text, checked_ttl(spec_ttl, "spec_ttl"))
        self._diff = Task("diff", modifications_in, checked_ttl(diff_ttl, "diff_ttl"))
        self._new_file = Task("newfile", code_in, checked_ttl(new_file_ttl, "new_file_ttl"))
        self._empty_ttl = checked_ttl(empty_ttl, "empty_ttl")
        self._account = LLMAccount(prices or {})
        self._cache = BatchCacheAside(
            redis,
            prefix="llm",
            codec=Codec(LLMAnswer),
            jitter=jitter,
            lease_seconds=lease_seconds,
            observer=observer,
        )

    async def convert_issue_to_spec(
        self, issue: Mapping[str, Any], *, use_cache: bool = True, refresh: bool = False
    ) -> str:
        """A specification in Markdown of one of Jira's issues. Raises AnswerRejected, and what the model raises."""
        request = self._request(self._prompts.for_spec(issue))
        return await self._done(self._spec, request, use_cache, refresh)

    async def generate_code_diff(
        self,
        file_path: str,
        current_content: str,
        issue_description: str,
        project_context: Any = None,
        *,
        use_cache: bool = True,
        refresh: bool = False,
    ) -> list[Modification]:
        """What to change in a file, which may be nothing. Raises the same, and InvalidRequest for an odd context."""
        messages = self._prompts.for_diff(file_path, current_content, issue_description, project_context)
        return await self._done(self._diff, self._request(messages), use_cache, refresh)

    async def generate_new_file(
        self,
        file_path: str,
        issue_description: str,
        project_context: Any = None,
        *,
        use_cache: bool = True,
        refresh: bool = False,
    ) -> str:
        """The content of a file to be. Raises the same."""
        messages = self._prompts.for_new_file(file_path, issue_description, project_context)
        return await self._done(self._new_file, self._request(messages), use_cache, refresh)

    async def complete(
        self, request: LLMRequest, *, ttl: float = DAY_SECONDS, use_cache: bool = True, refresh: bool = False
    ) -> LLMAnswer:
        """The answer to any request, as it is: look at its `finish_reason`. Only a whole one is kept, `ttl` seconds."""
        return await self._answer(Task("chat", LLMAnswer.text, checked_ttl(ttl)), request, use_cache, refresh)

    async def clear(self) -> int:
        """Removes this tenant's answers, and says how many there were. Raises CacheUnavailable."""
        return await self._cache.delete_by_prefix(f"{quote(self._tenant, safe='')}:")

    def get_stats(self) -> LLMStats:
        """Of this process."""
        return self._account.stats

    def _request(self, messages: tuple[ChatMessage, ...]) -> LLMRequest:
        return LLMRequest(self._model, messages, self._options)

    async def _done(self, task: Task[T], request: LLMRequest, use_cache: bool, refresh: bool) -> T:
        return task.read(await self._answer(task, request, use_cache, refresh))

    async def _answer(self, task: Task[Any], request: LLMRequest, use_cache: bool, refresh: bool) -> LLMAnswer:
        if not use_cache:
            return (await self._asked(task, request)).value
        key = self._key(task, request)
        if refresh:
            return await self._refreshed(task, request, key)
        asked = False

        async def load() -> LLMAnswer | WithTtl[LLMAnswer]:
            nonlocal asked
            asked = True
            return await self._asked(task, request)

        answer = await self._cache.get_with_cache(key, load)
        if not asked:
            self._account.saved(request.model, answer)
        return answer

    async def _refreshed(self, task: Task[Any], request: LLMRequest, key: str) -> LLMAnswer:
        """Asks anew. An answer that may not be kept leaves the one there is."""
        answer = await self._asked(task, request)
        if answer.ttl:
            with suppress(CacheUnavailable):  # the observer knows
                await self._cache.set(key, answer.value, answer.ttl)
        return answer.value

    async def _asked(self, task: Task[Any], request: LLMRequest) -> WithTtl[LLMAnswer]:
        """Asks the model."""
        answer = await self._ask(request)
        ttl = self._kept_seconds(task, answer)
        self._account.used(request.model, answer, kept=ttl > 0)
        return WithTtl(answer, ttl)

    def _kept_seconds(self, task: Task[Any], answer: LLMAnswer) -> float:
        try:
            empty = task.read(answer) == []
            size = len(answer.content.encode())
        except (AnswerRejected, UnicodeEncodeError):  # lone surrogates have no form in Redis
            return 0
        return 0 if size > self._max_bytes else self._empty_ttl if empty else task.ttl

    def _key(self, task: Task[Any], request: LLMRequest) -> str:
        """Raises Unencodable for a request that is not of JSON's kinds."""
        whole = {
            "tenant": self._tenant,
            "task": task.kind,
            "schema_version": self._schema_version,
            "model": request.model,
            "messages": request.messages,
            "options": request.options,
        }
        shown = ":".join(quote(part, safe="") for part in (self._tenant, task.kind, request.model))
        return f"{shown}:{fingerprint(whole, 'request')}"
