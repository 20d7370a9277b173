"""What of psycopg is replaced while it is tapped, that all of it comes back, and what is said where it cannot be."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import types
from typing import Any

import psycopg
import pytest
from psycopg import generators

from redis_perf import TapError
from redis_perf.recorder import Recorder
from redis_perf.taps.libpq import Libpq, describe
from redis_perf.taps.psycopg import psycopg as psycopg_tap

METHODS = [(owner, name) for owner in (psycopg.Connection, psycopg.AsyncConnection) for name in ("wait", "close")]
MODULES = [module for name, module in sorted(sys.modules.items()) if name.partition(".")[0] == "psycopg"]
FUNCTIONS = [
    (module, name)
    for name in ("connect", "execute", "fetch")
    for module in MODULES
    if vars(module).get(name) is getattr(generators, name)
]
PATCHES = [pytest.param(*patch, id=f"{patch[0].__name__}.{patch[1]}") for patch in METHODS + FUNCTIONS]


@pytest.mark.parametrize(("owner", "name"), PATCHES)
def test_it_is_replaced_while_tapped_and_restored_afterwards(owner: Any, name: str) -> None:
    original = getattr(owner, name)
    with psycopg_tap(Recorder()):
        assert getattr(owner, name) is not original
    assert getattr(owner, name) is original


@pytest.mark.parametrize(("owner", "name"), PATCHES)
def test_it_is_restored_after_an_exception(owner: Any, name: str) -> None:
    original = getattr(owner, name)
    with pytest.raises(KeyError), psycopg_tap(Recorder()):
        raise KeyError
    assert getattr(owner, name) is original


def everything() -> dict[str, object]:
    """All that psycopg's modules and its connection classes hold."""
    owners = [*MODULES, psycopg.Connection, psycopg.AsyncConnection]
    return {f"{owner.__name__}.{name}": held for owner in owners for name, held in vars(owner).items()}


def test_every_module_that_holds_one_of_the_functions_is_covered() -> None:
    assert len(FUNCTIONS) >= 5


def test_nothing_else_is_left_changed() -> None:
    before = everything()
    with psycopg_tap(Recorder()):
        pass
    after = everything()
    assert {name for name in before if after.get(name) is not before[name]} == set()
    assert set(after) == set(before)


def test_the_tap_says_what_it_found() -> None:
    recorder = Recorder()
    with psycopg_tap(recorder):
        (tapped,) = recorder.trace(0).taps
    build, libpq = psycopg.pq.__impl__, describe(psycopg.pq.version())
    assert (tapped.name, tapped.store) == ("psycopg", "postgres")
    assert (tapped.version, tapped.problem) == (f"{psycopg.__version__} ({build}, libpq {libpq})", None)


def test_without_psycopg_the_tap_says_so() -> None:
    program = """
import sys
sys.modules["psycopg"] = None
from redis_perf.recorder import Recorder
from redis_perf.taps.psycopg import psycopg as tap
recorder = Recorder()
with tap(recorder):
    print([(tapped.name, tapped.problem) for tapped in recorder.trace(0).taps])
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("[('psycopg', 'not installed')]\n", "")


def test_importing_the_tap_does_not_import_psycopg() -> None:
    program = "import sys, redis_perf.taps.psycopg; print('psycopg' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("False\n", "")


@pytest.mark.parametrize(
    ("owner", "name", "where"),
    [
        (generators, "_connect", "psycopg.generators._connect"),
        (generators, "execute", "psycopg.generators.execute"),
        (psycopg.Connection, "wait", "psycopg.Connection.wait"),
        (psycopg.AsyncConnection, "close", "psycopg.AsyncConnection.close"),
    ],
)
def test_a_missing_hook_is_named_and_nothing_is_replaced(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, where: str
) -> None:
    monkeypatch.delattr(owner, name)
    if owner is not generators:
        monkeypatch.delattr(psycopg.connection.BaseConnection, name, raising=False)
    before = everything()
    with pytest.raises(TapError) as error, psycopg_tap(Recorder()):
        pass
    assert str(error.value) == (
        f"psycopg {psycopg.__version__} has no {where}, where round trips are counted (tested with psycopg "
        "3.1 to 3.3); use one of those, or count this client through the proxy instead"
    )
    assert everything() == before


def test_it_cannot_be_tapped_twice_at_once() -> None:
    with psycopg_tap(Recorder()), pytest.raises(TapError) as error, psycopg_tap(Recorder()):
        pass
    assert str(error.value) == (
        "psycopg is tapped already: a connection has one message trace, so one recorder at a time"
    )


# --- where libpq cannot trace


def pq_of_version(version: int) -> types.ModuleType:
    pq = types.ModuleType("pq")
    pq.__dict__.update(vars(psycopg.pq), version=lambda: version)
    return pq


def test_a_libpq_too_old_is_refused() -> None:
    with pytest.raises(TapError) as error:
        Libpq(pq_of_version(130011))
    assert str(error.value) == (
        "psycopg: libpq's message trace is not available: found libpq 13.11, needed libpq 14.0 or newer; "
        "count this client through the proxy instead"
    )


def test_another_libpq_than_psycopgs_is_refused() -> None:
    with pytest.raises(TapError) as error:
        Libpq(pq_of_version(170002))
    assert str(error.value) == (
        f"psycopg: libpq's message trace is not available: found libpq {describe(psycopg.pq.version())} beside "
        "psycopg's 17.2, needed the same one; count this client through the proxy instead"
    )


def test_a_c_library_without_memory_streams_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    real = ctypes.PyDLL

    def without(name: str | None, *args: Any, **options: Any) -> Any:
        return real(name, *args, **options) if name else types.SimpleNamespace()

    monkeypatch.setattr(ctypes, "PyDLL", without)
    with pytest.raises(TapError) as error:
        Libpq(psycopg.pq)
    assert str(error.value) == (
        f"psycopg: libpq's message trace is not available: found a C library without open_memstream ({sys.platform}), "
        "needed one that has it; count this client through the proxy instead"
    )


def test_a_libpq_that_hides_its_trace_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        ctypes, "PyDLL", lambda *_, **__: types.SimpleNamespace(PQlibVersion=lambda: psycopg.pq.version())
    )
    with pytest.raises(
        TapError, match=r"found a libpq without .*PQtrace.*, needed one that exports its trace functions"
    ):
        Libpq(psycopg.pq)
