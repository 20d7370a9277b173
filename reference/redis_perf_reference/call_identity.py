"""What tells one call of a function from another, fast: its arguments and their types, as 1 equals True.

`call_identity` writes a function with the signature of the other, as dataclasses do, so that Python itself brings
arguments into their places, fills in defaults, and refuses what does not fit. For `f(self, a, b="x", *rest)` that is

    lambda self, a, b=default, *rest: ((cache_key of self, a, b, *rest), (their types))
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from inspect import Parameter, Signature
from typing import Any, TypeAlias

Identity: TypeAlias = tuple[tuple[object, ...], tuple[type, ...]]


class Mark:
    """Stands between arguments, or in the place of one that does not matter."""


_NAMED_FROM_HERE, _NO_KEY = Mark(), Mark()


class _Text(str):
    """Code in the place of a default, which a signature shows by its repr."""

    __slots__ = ()
    __repr__ = str.__str__


def call_identity(signature: Signature, ignore: Collection[str]) -> Callable[..., Identity]:
    """It takes what the function takes, and raises TypeError as that does. Of `self` only its `cache_key` counts."""
    parameters = list(signature.parameters.values())
    own = "_" * (1 + max((len(each.name) for each in parameters), default=0))  # begins no parameter's name
    known: dict[str, Any] = {f"{own}type": type, f"{own}map": map, f"{own}getattr": getattr}
    known |= {f"{own}named": _NAMED_FROM_HERE, f"{own}none": _NO_KEY}
    known |= {f"{own}of_{each.name}": each.default for each in parameters}
    kept = [each for each in parameters if each.name not in ignore]
    values, types = [_value(each, own) for each in kept], [_type(each, own) for each in kept]
    if kept and kept[0].name == "self":
        values[0], types[0] = f"({own}key := {own}getattr(self, 'cache_key', {own}none))", f"{own}type({own}key)"
    code = f"lambda {_taking(parameters, own)}: ({_tuple(values)}, {_tuple(types)})"
    identity: Callable[..., Identity] = eval(code, known)
    return identity


def _taking(parameters: list[Parameter], own: str) -> str:
    """The parameters as code."""
    return str(
        Signature(
            [
                Parameter(each.name, each.kind)
                if each.default is Parameter.empty
                else Parameter(each.name, each.kind, default=_Text(f"{own}of_{each.name}"))
                for each in parameters
            ]
        )
    )[1:-1]


def _tuple(parts: list[str]) -> str:
    return f"({', '.join(parts)},)" if parts else "()"


def _value(parameter: Parameter, own: str) -> str:
    name = parameter.name
    if parameter.kind is Parameter.VAR_KEYWORD:
        return f"{own}named, *{name}, *{name}.values()"
    return f"*{name}" if parameter.kind is Parameter.VAR_POSITIONAL else name


def _type(parameter: Parameter, own: str) -> str:
    name = parameter.name
    if parameter.kind is Parameter.VAR_KEYWORD:
        return f"*{own}map({own}type, {name}.values())"
    return f"*{own}map({own}type, {name})" if parameter.kind is Parameter.VAR_POSITIONAL else f"{own}type({name})"
