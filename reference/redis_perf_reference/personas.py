"""Personas: who may answer, and steps that need no language model and give the same result for the same input.

A resonance key is `mood-intensity-goal`, such as `calm-medium-learning`.
"""

from __future__ import annotations

from zlib import crc32

PERSONAS = {
    "lua": "a calm companion who listens first",
    "sol": "a cheerful coach who gets things done",
    "mira": "a careful teacher who explains step by step",
    "kai": "a curious explorer who asks what if",
}
COMMON_RESONANCE_KEYS = ("calm-medium-learning", "calm-low-rest", "happy-high-action", "sad-low-comfort")
_MOODS = {"calm": "lua", "sad": "lua", "happy": "sol", "excited": "sol", "confused": "mira", "curious": "kai"}


def persona_for(user_input: str, resonance_key: str) -> str:
    """The persona of the mood; for moods that are not known, always the same one for the same input."""
    mood = resonance_key.partition("-")[0]
    return _MOODS.get(mood) or sorted(PERSONAS)[crc32(user_input.encode()) % len(PERSONAS)]


def prompt_for(persona: str, resonance_key: str) -> str:
    manner = PERSONAS.get(persona, "a persona of your own")
    return f"You are {persona.capitalize()}, {manner}. The one you talk to is in this state: {resonance_key}."


def response_to(prompt: str, user_input: str) -> str:
    return f"{prompt.partition(',')[0].removeprefix('You are ')} hears: {user_input}"
