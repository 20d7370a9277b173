"""Taps that wait: each is entered when its client's module has been executed, in the thread that imports it.

A finder that comes first on `sys.meta_path` lets the others find the module and wraps its loader for this one time.
Submodules that a tap needs it imports itself then.

No lock is held while a tap is entered: that imports, and so waits for import locks of other threads, which may be on
their way here. Each step is one operation on a dict, so a tap is entered once and left once whoever comes first.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from types import ModuleType, TracebackType
from typing import Any, Final, Self

_ABSENT: Final = object()


@dataclass(frozen=True)
class Wanted:
    """What is to be entered when this module is there. `failed` is told when that cannot be: nothing is raised."""

    module: str
    enter: Callable[[], AbstractContextManager[None]]
    failed: Callable[[Exception], None]


@dataclass(frozen=True)
class _Entered:
    wanted: Wanted
    module: object
    tap: AbstractContextManager[None]


class OnImport:
    """The finder. Used as a context manager: what was entered is left at its end, and nothing is waited for."""

    def __init__(self) -> None:
        self._modules: set[str] = set()
        self._waiting: dict[str, Wanted] = {}
        self._entered: dict[str, _Entered] = {}
        self._ended = False

    def __enter__(self) -> Self:
        sys.meta_path.insert(0, self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended = True
        self._waiting.clear()
        with suppress(ValueError):  # who restores a list of finders he kept may have removed it
            sys.meta_path.remove(self)
        with ExitStack() as stack:
            for name in list(self._entered):
                stack.callback(self._leave, name)

    def wait(self, name: str, wanted: Wanted) -> None:
        """Enter it once its module is imported; one that is imported already is for `look`."""
        self._modules.add(wanted.module)
        self._waiting[name] = wanted

    def look(self) -> None:
        """Enter what is imported already, or was past this finder; wait anew where a module gave way to another."""
        for name, entered in list(self._entered.items()):
            if sys.modules.get(entered.wanted.module, _ABSENT) is not entered.module:
                self._leave(name)
                self._waiting[name] = entered.wanted
        for wanted in list(self._waiting.values()):
            if wanted.module in sys.modules:
                self._arrived(wanted.module)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """What the other finders find, with a loader that tells."""
        if fullname not in self._modules or self._ended:
            return None
        spec = self._found(fullname, path, target)
        if spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _Telling(spec.loader, self._arrived)  # type: ignore[assignment]
        return spec

    def _found(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None) -> ModuleSpec | None:
        for finder in list(sys.meta_path):
            spec = finder.find_spec(fullname, path, target) if finder is not self else None
            if spec is not None:
                return spec
        return None

    def _arrived(self, module: str) -> None:
        for name, wanted in list(self._waiting.items()):
            if wanted.module == module and self._waiting.pop(name, None) is not None:
                self._enter(name, wanted)

    def _enter(self, name: str, wanted: Wanted) -> None:
        try:
            tap = wanted.enter()
            tap.__enter__()
        except Exception as error:
            wanted.failed(error)
            return
        self._entered[name] = _Entered(wanted, sys.modules.get(wanted.module, _ABSENT), tap)
        if self._ended:  # meanwhile
            self._leave(name)

    def _leave(self, name: str) -> None:
        entered = self._entered.pop(name, None)
        if entered is not None:
            entered.tap.__exit__(None, None, None)


class _Telling:
    """A loader that says when it has executed the module."""

    def __init__(self, loader: Any, told: Callable[[str], None]) -> None:
        self._loader = loader
        self._told = told

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def exec_module(self, module: ModuleType) -> None:
        """The module is to know only the loader it would have had."""
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._told(module.__name__)
