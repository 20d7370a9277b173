"""Markers written into source, to the letter; everything else in it stays."""

from __future__ import annotations

from textwrap import dedent

import pytest

from redis_perf.source_budgets import Names, rewritten


def check(before: str, after: str, *names: str, left: tuple[Names, ...] = (), **counts: int) -> None:
    result = rewritten(dedent(before), {names: counts})
    assert result.source == dedent(after)
    assert result.left == left


def test_a_marker_is_put_above_a_test_and_pytest_is_imported() -> None:
    check(
        """\
        import shop


        # about buying
        def test_buy( shop ) :   # odd layout stays
            shop.buy()
        """,
        """\
        import shop
        import pytest


        # about buying
        @pytest.mark.redisperf(redis=3, postgres=1)
        def test_buy( shop ) :   # odd layout stays
            shop.buy()
        """,
        "test_buy",
        redis=3,
        postgres=1,
    )


def test_a_marker_goes_below_the_decorators_that_are_there_and_into_a_class() -> None:
    check(
        """\
        import pytest

        class TestShop:
            @pytest.mark.parametrize("n", [1, 2])
            async def test_buy(self, n): ...

            def test_other(self): ...
        """,
        """\
        import pytest

        class TestShop:
            @pytest.mark.parametrize("n", [1, 2])
            @pytest.mark.redisperf(redis=2)
            async def test_buy(self, n): ...

            def test_other(self): ...
        """,
        "TestShop",
        "test_buy",
        redis=2,
    )


@pytest.mark.parametrize("mark", ["pytest.mark.redisperf", "mark.redisperf"])
def test_plain_numbers_are_brought_up_to_date_and_missing_stores_added(mark: str) -> None:
    check(
        f"""\
        import pytest
        from pytest import mark

        @{mark}(redis=9, depth=4)  # why
        def test_buy(): ...
        """,
        f"""\
        import pytest
        from pytest import mark

        @{mark}(redis=3, depth=4, postgres=1)  # why
        def test_buy(): ...
        """,
        "test_buy",
        redis=3,
        postgres=1,
    )


def test_what_is_no_plain_number_is_left_and_said() -> None:
    source = """\
        import pytest

        @pytest.mark.redisperf(redis=pytest.exactly(9))
        def test_buy(): ...
        """
    check(source, source, "test_buy", left=(("test_buy",),), redis=3)


def test_a_function_of_the_same_name_elsewhere_is_left_alone() -> None:
    source = """\
        class TestShop:
            def test_buy(self): ...

        def helper():
            def test_buy(): ...
        """
    check(source, source, "test_buy", redis=3)


def test_source_that_is_already_right_does_not_change() -> None:
    source = """\
        import pytest

        @pytest.mark.redisperf(redis=3,)
        def test_buy(): ...
        """
    check(source, source, "test_buy", redis=3)


def test_source_that_is_no_python_is_refused_with_its_line() -> None:
    with pytest.raises(SyntaxError, match=r"^line 2: "):
        rewritten("import pytest\ndef test_buy(:\n", {("test_buy",): {"redis": 1}})
