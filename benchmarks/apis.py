"""What the caches before APIs take, beside a raw redis-py GET in the same run: `python benchmarks/apis.py`.

Each operation alternates with a GET on a connection of its own, so that a busy machine slows both; the ratio of the
medians is what counts. Round trips are counted on the wire, in a pass of their own. The API answers in 20 ms.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from statistics import median
from time import perf_counter_ns, sleep
from types import SimpleNamespace
from typing import Any

import redis

import redis_perf
from redis_perf import servers
from redis_perf_reference import LLMAnswer, LLMCache, LLMRequest
from redis_perf_reference.bitbucket import RepositoryKeys
from redis_perf_reference.naive.bitbucket_api import NaiveBitbucketAPI
from redis_perf_reference.naive.llm_handler import NaiveLLMHandler
from redis_perf_reference.sync.bitbucket_api import Content
from redis_perf_reference.sync.bitbucket_cache import BitbucketCache
from redis_perf_reference.sync.client import RedisClient

ROUNDS = 400
API_SECONDS = 0.02
BODY = b"def f(x):\n    return x\n" * 100
PATHS = [f"src/{number}.py" for number in range(50)]
SPEC = "# Specification\n" * 200
ISSUE = {"fields": {"summary": "Add a table", "description": "With three columns. " * 20}}


class Api:
    """In the place of BitbucketAPI."""

    keys = RepositoryKeys("acme", "sdb")

    def file(self, path: str, revision: str, known: Content | None = None) -> Content:
        sleep(API_SECONDS)
        return Content(None, BODY)


class Http:
    """In the place of httpx.Client."""

    def get(self, url: str) -> Any:
        sleep(API_SECONDS)
        return SimpleNamespace(status_code=200, text=BODY.decode(), raise_for_status=lambda: None)


def answer(request: LLMRequest) -> LLMAnswer:
    return LLMAnswer(content=SPEC, finish_reason="stop", model=request.model, prompt_tokens=900, completion_tokens=900)


def create(**options: Any) -> Any:
    choice = SimpleNamespace(message=SimpleNamespace(content=SPEC), finish_reason="stop")
    return SimpleNamespace(choices=[choice], usage=SimpleNamespace(total_tokens=1800))


def spent(call: Callable[[], Any]) -> int:
    with redis_perf.record() as trace:
        call()
    return int(trace.redis.round_trips)


def ratio(call: Callable[[], Any], get: Callable[[], Any], rounds: int) -> tuple[float, float]:
    """The medians' ratio, and the call's median in microseconds."""
    taken: dict[Callable[[], Any], list[int]] = {call: [], get: []}
    for _ in range(rounds):
        for each, times in taken.items():
            begun = perf_counter_ns()
            each()
            times.append(perf_counter_ns() - begun)
    return median(taken[call]) / median(taken[get]), median(taken[call]) / 1000


def measured(url: str) -> None:
    client, raw = RedisClient(url, timeout_seconds=5), redis.Redis.from_url(url)
    raw.set("raw", SPEC)
    chat = SimpleNamespace(chat=SimpleNamespace(completions=SimpleNamespace(create=create)))
    answers, naive_answers = LLMCache(client, answer), NaiveLLMHandler(raw, chat)
    files = BitbucketCache(client, Api())  # type: ignore[arg-type]
    decoding = redis.Redis.from_url(url, decode_responses=True)
    naive_files = NaiveBitbucketAPI(decoding, Http(), "", "acme", "sdb")

    def forgotten() -> None:
        files.forget_branch("master")
        for key in decoding.keys("bb:file:*"):
            decoding.delete(key)

    operations: list[tuple[str, Callable[[], Any], int]] = [
        ("raw GET", lambda: raw.get("raw"), ROUNDS),
        ("an answer of 3 kB, cached", lambda: answers.convert_issue_to_spec(ISSUE), ROUNDS),
        ("... naive", lambda: naive_answers.convert_issue_to_spec(ISSUE), ROUNDS),
        ("a file of 2 kB, cached", lambda: files.get_file_content(PATHS[0]), ROUNDS),
        ("... naive", lambda: naive_files.get_file_content(PATHS[0]), ROUNDS),
        ("50 files, cached", lambda: files.get_files(PATHS), ROUNDS // 4),
        ("... naive", lambda: [naive_files.get_file_content(path) for path in PATHS], ROUNDS // 4),
    ]
    print(f"{'':30} trips  x GET   median us")
    for name, call, rounds in operations:
        call()
        trips, (times, us) = spent(call), ratio(call, lambda: raw.get("raw"), rounds)
        print(f"{name:30} {trips:5}  {times:5.2f}   {us:9.1f}")
    for name, call in (("50 files, none cached", operations[5][1]), ("... naive", operations[6][1])):
        forgotten()
        begun = perf_counter_ns()
        trips = spent(call)
        print(f"{name:30} {trips:5}          {(perf_counter_ns() - begun) / 1000:9.1f}")


def main() -> int:
    server = servers.redis("embedded")
    try:
        measured(server.url)
    finally:
        server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
