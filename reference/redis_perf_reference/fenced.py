"""The code blocks of an answer in Markdown."""

from __future__ import annotations

import re

_FENCE = re.compile(r"(`{3,})([^`]*)")


class Unclosed(ValueError):
    """A code block begins and does not end."""


def fenced_blocks(text: str) -> list[str]:
    """The contents of the outermost blocks, in order. Raises Unclosed.

    A fence with a language opens a block, also within another (a Markdown file that shows code); one without closes the
    innermost, if it is long enough.
    """
    blocks, inside, lengths = list[str](), list[str](), list[int]()
    for line in text.splitlines(keepends=True):
        fence = _FENCE.fullmatch(line.rstrip())
        if not lengths:
            if fence:
                lengths, inside = [len(fence[1])], []
            continue
        if fence and len(fence[1]) >= lengths[-1]:
            if fence[2]:
                lengths.append(len(fence[1]))
            else:
                lengths.pop()
        if lengths:
            inside.append(line)
        else:
            blocks.append("".join(inside))
    if lengths:
        raise Unclosed("a code block begins and does not end")
    return blocks
