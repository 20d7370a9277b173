"""LLMAccount: the tokens and the money that answers cost, and those that cached answers did not."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from redis_perf_reference.cache_stats import rate
from redis_perf_reference.llm import LLMAnswer


class Price(NamedTuple):
    """Of a million tokens each, in the currency you like."""

    prompt: float
    completion: float

    def of(self, answer: LLMAnswer) -> float:
        return (self.prompt * answer.prompt_tokens + self.completion * answer.completion_tokens) / 1e6


FREE = Price(0, 0)


@dataclass(frozen=True, slots=True)
class LLMStats:
    """`calls` of the model were made and answered; `hits` are answers for which none was made. `rejected` calls were
    paid for and are not cached. Costs are those of the models that have a price."""

    calls: int = 0
    hits: int = 0
    rejected: int = 0
    tokens_used: int = 0
    tokens_saved: int = 0
    cost: float = 0.0
    cost_saved: float = 0.0

    @property
    def hit_rate(self) -> float:
        return rate(self.hits, self.calls)


class LLMAccount:
    """Of this process. Threads may share it."""

    def __init__(self, prices: Mapping[str, Price]) -> None:
        self._prices = prices
        self._lock = threading.Lock()
        self._stats = LLMStats()

    @property
    def stats(self) -> LLMStats:
        return self._stats

    def used(self, model: str, answer: LLMAnswer, kept: bool) -> None:
        cost = self._prices.get(model, FREE).of(answer)
        with self._lock:
            now = self._stats
            self._stats = replace(
                now,
                calls=now.calls + 1,
                rejected=now.rejected + (not kept),
                tokens_used=now.tokens_used + answer.tokens_used,
                cost=now.cost + cost,
            )

    def saved(self, model: str, answer: LLMAnswer) -> None:
        cost = self._prices.get(model, FREE).of(answer)
        with self._lock:
            now = self._stats
            self._stats = replace(
                now,
                hits=now.hits + 1,
                tokens_saved=now.tokens_saved + answer.tokens_used,
                cost_saved=now.cost_saved + cost,
            )
