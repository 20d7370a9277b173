"""Budgets written into the source of tests: `@pytest.mark.redisperf(redis=3)` above each test that has none, and the
plain numbers of those that have one brought up to date.

Source text in, source text out; nothing else in it changes. Needs libcst, which keeps comments and layout.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import libcst
from libcst import matchers
from libcst.codemod import CodemodContext
from libcst.codemod.visitors import AddImportsVisitor

Counts: TypeAlias = Mapping[str, int]
"""Round trips by store: `{"redis": 3}`."""
Names: TypeAlias = tuple[str, ...]
"""`("TestCheckout", "test_it")`: classes, then the function."""

MARK: Final = "redisperf"
_IS_MARK = matchers.Attribute(attr=matchers.Name(MARK), value=matchers.Attribute(attr=matchers.Name("mark"))) | (
    matchers.Attribute(attr=matchers.Name(MARK), value=matchers.Name("mark"))
)


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The new source, and the tests whose marker holds what is no plain number, which is left as it is."""

    source: str
    left: tuple[Names, ...]


def rewritten(source: str, budgets: Mapping[Names, Counts]) -> Rewritten:
    """The source with these budgets at these tests. Raises SyntaxError when it is no Python that libcst knows."""
    try:
        module = libcst.parse_module(source)
    except libcst.ParserSyntaxError as error:
        raise SyntaxError(f"line {error.raw_line}: {error.message}") from error
    writer = _Writer(budgets)
    changed = module.visit(writer)
    if writer.added:  # the import first: it looks at the blank lines before the first function
        context = CodemodContext()
        AddImportsVisitor.add_needed_import(context, "pytest")
        changed = AddImportsVisitor(context).transform_module(module).visit(_Writer(budgets))
    return Rewritten(changed.code, tuple(writer.left))


class _Writer(libcst.CSTTransformer):
    def __init__(self, budgets: Mapping[Names, Counts]) -> None:
        self._budgets = budgets
        self._within: list[str] = []
        self.added = False
        self.left: list[Names] = []

    def visit_ClassDef(self, node: libcst.ClassDef) -> None:
        self._within.append(node.name.value)

    def leave_ClassDef(self, original_node: libcst.ClassDef, updated_node: libcst.ClassDef) -> libcst.ClassDef:
        self._within.pop()
        return updated_node

    def visit_FunctionDef(self, node: libcst.FunctionDef) -> bool:
        self._within.append(node.name.value)
        return True

    def leave_FunctionDef(
        self, original_node: libcst.FunctionDef, updated_node: libcst.FunctionDef
    ) -> libcst.FunctionDef:
        names = tuple(self._within)
        self._within.pop()
        counts = self._budgets.get(names)
        return updated_node if counts is None else self._budgeted(names, updated_node, counts)

    def _budgeted(self, names: Names, function: libcst.FunctionDef, counts: Counts) -> libcst.FunctionDef:
        for decorator in function.decorators:
            call = decorator.decorator
            if matchers.matches(call, matchers.Call(func=_IS_MARK)):
                assert isinstance(call, libcst.Call)
                return self._updated(names, function, call, counts)
        self.added = True
        arguments = ", ".join(f"{store}={number}" for store, number in counts.items())
        decorator = libcst.Decorator(libcst.parse_expression(f"pytest.mark.{MARK}({arguments})"))
        if function.decorators:
            return function.with_changes(decorators=[*function.decorators, decorator])
        return function.with_changes(
            decorators=[decorator.with_changes(leading_lines=function.leading_lines)],
            leading_lines=function.lines_after_decorators,
            lines_after_decorators=(),
        )

    def _updated(
        self, names: Names, function: libcst.FunctionDef, mark: libcst.Call, counts: Counts
    ) -> libcst.FunctionDef:
        """The number of each store the marker names as a plain int, and stores it does not name yet."""
        given = {argument.keyword.value: argument.value for argument in mark.args if argument.keyword is not None}
        if any(not isinstance(value, libcst.Integer) for name, value in given.items() if name in ("redis", "postgres")):
            self.left.append(names)
            return function
        arguments = [
            argument.with_changes(value=libcst.Integer(str(counts[argument.keyword.value])))
            if argument.keyword is not None and argument.keyword.value in counts
            else argument
            for argument in mark.args
        ]
        new = [_argument(store, number) for store, number in counts.items() if store not in given]
        if new and arguments:
            comma = libcst.Comma(whitespace_after=libcst.SimpleWhitespace(" "))
            if isinstance(arguments[-1].comma, libcst.MaybeSentinel):
                arguments[-1] = arguments[-1].with_changes(comma=comma)
        replaced = mark.with_changes(args=[*arguments, *new])
        return function.with_deep_changes(mark, args=replaced.args)


def _argument(store: str, number: int) -> libcst.Arg:
    return libcst.Arg(
        value=libcst.Integer(str(number)),
        keyword=libcst.Name(store),
        equal=libcst.AssignEqual(
            whitespace_before=libcst.SimpleWhitespace(""), whitespace_after=libcst.SimpleWhitespace("")
        ),
    )
