"""PersonaRequest: what somebody says, and the keys of what is kept about it. A key names what its value depends on.

    routing:<input>                     which persona answers
    persona:<persona>:prompt:<state>    its prompt for a resonance key
    persona:<persona>:response:<input>  what it answers

So `persona:lua:*` is all that has to go when Lua changes, and `routing:*` when the router does.
"""

from __future__ import annotations

from hashlib import blake2b

from redis_perf_reference.call_keys import segment, written


class PersonaRequest:
    """In its keys, `<input>` is a hash of 128 bits over both. Raises TypeError for what is no text."""

    def __init__(self, user_input: str, resonance_key: str) -> None:
        for name, text in (("user_input", user_input), ("resonance_key", resonance_key)):
            if not isinstance(text, str):
                raise TypeError(f"{name} is {type(text).__name__}, must be str")
        self.user_input, self.resonance_key = user_input, resonance_key
        both = written((str(user_input), str(resonance_key))).encode("utf-8", "surrogatepass")
        self._input = blake2b(both, digest_size=16).hexdigest()
        self.routing = f"routing:{self._input}"

    def prompt(self, persona: str) -> str:
        return prompt_key(persona, self.resonance_key)

    def response(self, persona: str) -> str:
        return f"persona:{segment(persona)}:response:{self._input}"

    def keys(self, persona: str) -> tuple[str, str]:
        return self.prompt(persona), self.response(persona)


def prompt_key(persona: str, resonance_key: str) -> str:
    return f"persona:{segment(persona)}:prompt:{segment(resonance_key)}"
