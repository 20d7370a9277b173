"""Code blocks of Markdown: the outermost, whole."""

from __future__ import annotations

import pytest

from redis_perf_reference.fenced import Unclosed, fenced_blocks


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("no code", []),
        ("`inline` and ```inline```", []),
        ("```\nx\n```", ["x\n"]),
        ("Here:\n```python\nx = 1\n\ny = 2\n```\nDone.", ["x = 1\n\ny = 2\n"]),
        ("```\n```", [""]),
        ("```\na\n```\n```\nb\n```", ["a\n", "b\n"]),
        ("```markdown\n# A\n```sh\nls\n```\nend\n```", ["# A\n```sh\nls\n```\nend\n"]),
        ("````markdown\n```\nls\n```\n````", ["```\nls\n```\n"]),
        ("```\r\nx\r\n```\r\n", ["x\r\n"]),
    ],
)
def test_blocks_are_found_whole(text: str, blocks: list[str]) -> None:
    assert fenced_blocks(text) == blocks


@pytest.mark.parametrize("text", ["```python\nx = 1", "````\n```", "```a\n```b\n```"])
def test_a_block_that_does_not_end_is_refused(text: str) -> None:
    with pytest.raises(Unclosed):
        fenced_blocks(text)
