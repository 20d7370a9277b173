"""The README shows what really happens: its first test fails with exactly the text above it."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

README = (Path(__file__).parents[2] / "README.md").read_text()


def block(number: int, language: str = "") -> str:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)[number]


def test_the_first_test_of_the_readme_fails_as_the_readme_says(
    pytester: pytest.Pytester, run_pytest: Callable[..., pytest.RunResult]
) -> None:
    pytester.makepyfile(test_memory=block(0, "python"))
    result = run_pytest("--redisperf-redis=embedded", subprocess=True)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    shown = [line for line in result.outlines if not re.fullmatch(r"\s+\^+", line)]  # Python 3.13 underlines the call
    assert block(0).rstrip() in "\n".join(shown)


@pytest.mark.parametrize("name", ["main job", "tests"])
def test_each_of_the_two_lines_stands_alone_below_its_comment(name: str) -> None:
    (line,) = re.findall(rf"^<!-- {name} -->\n```sh\n(.*?)\n```$", README, re.MULTILINE)
    assert line.startswith("python3 -m venv .venv && ")


def test_every_document_the_readme_links_to_is_there() -> None:
    root = Path(__file__).parents[2]
    links = re.findall(r"\]\(((?!http)[^)#]+)\)", README)
    assert links
    assert [link for link in links if not (root / link).exists()] == []


def test_the_readmes_table_is_the_one_the_proof_wrote() -> None:
    written = (Path(__file__).parents[2] / "docs" / "working_memory.md").read_text()
    assert written[written.index("|") :].rstrip() in README
