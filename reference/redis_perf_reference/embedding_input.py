"""Texts as an encoder takes them: what is refused, and in which words. All is checked before anything is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any


class InvalidText(ValueError):
    """Nothing that can be embedded. The message begins with the argument's name."""


def checked_text(text: object, name: str) -> str:
    if not isinstance(text, str):
        raise InvalidText(f"{name} is {type(text).__name__}, must be str")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InvalidText(f"{name} holds a lone surrogate at {error.start}: it has no UTF-8 form") from None
    return text


def checked_texts(texts: object, name: str = "texts") -> list[str]:
    if isinstance(texts, str) or not isinstance(texts, Iterable):
        raise InvalidText(f"{name} is {type(texts).__name__}, must be several texts, such as a list")
    return [checked_text(text, f"{name}[{at}]") for at, text in enumerate(texts)]


def function_text(function: Mapping[str, Any]) -> str:
    """All that is text in it, in its order: name, signature, docstring, body, whatever they are called.

    So any change of these is another text, and a new line number is not.
    """
    return "\n".join(value for value in function.values() if isinstance(value, str))


def texts_of(functions: Sequence[Mapping[str, Any]], text_of: Callable[[Mapping[str, Any]], str]) -> list[str]:
    """What to embed of each. Raises InvalidText for one that has no text at all."""
    texts = [checked_text(text_of(function), f"functions[{at}]") for at, function in enumerate(functions)]
    for at, text in enumerate(texts):
        if not text:
            raise InvalidText(f"functions[{at}] has no text: give text_of, which says what to embed")
    return texts
