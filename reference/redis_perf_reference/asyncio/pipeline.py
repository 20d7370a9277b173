"""Pipeline: from what somebody says to what a persona answers, in three steps that can be replaced."""

from __future__ import annotations

from dataclasses import dataclass

from redis_perf_reference.asyncio.background import Function
from redis_perf_reference.personas import persona_for, prompt_for, response_to


async def route(user_input: str, resonance_key: str) -> str:
    return persona_for(user_input, resonance_key)


async def prompt(persona: str, resonance_key: str) -> str:
    return prompt_for(persona, resonance_key)


async def respond(prompt: str, user_input: str) -> str:
    return response_to(prompt, user_input)


@dataclass(frozen=True, slots=True)
class Steps:
    """Who answers, with which prompt, and what. Those that are not given need no language model."""

    route: Function[[str, str], str] = route
    prompt: Function[[str, str], str] = prompt
    respond: Function[[str, str], str] = respond


@dataclass(frozen=True, slots=True)
class Processed:
    """`cached`: no step was run for it, by this call or by one that it waited for."""

    persona: str
    response: str
    cached: bool = False


class Pipeline:
    """Runs each step each time."""

    def __init__(self, steps: Steps | None = None) -> None:
        self.steps = steps or Steps()

    async def process(self, user_input: str, resonance_key: str) -> Processed:
        persona = await self.steps.route(user_input, resonance_key)
        text = await self.steps.prompt(persona, resonance_key)
        return Processed(persona, await self.steps.respond(text, user_input))


def get_pipeline() -> Pipeline:
    return Pipeline()
