"""A condition that cannot be brought about whole is undone at once."""

from collections.abc import Callable

import pytest

from redis_perf import ServerUnavailable
from redis_perf.servers.conditions import full_memory, read_only_sessions, replica_of_nobody


def test_sessions_that_did_not_all_become_read_only_in_time_may_write_again() -> None:
    said: list[str] = []

    def gives_up(_: Callable[[], object]) -> None:
        raise ServerUnavailable("gave no answer")

    with pytest.raises(ServerUnavailable, match="gave no answer"):
        read_only_sessions(lambda statement, **_: said.append(statement), gives_up)
    assert [statement.rpartition(" ")[2] for statement in said] == ["on", "pg_reload_conf()", "off", "pg_reload_conf()"]


@pytest.mark.parametrize("begin", [full_memory, replica_of_nobody])
@pytest.mark.parametrize("problem", [ServerUnavailable("gone"), KeyboardInterrupt()], ids=["failed", "interrupted"])
def test_what_a_redis_did_of_it_is_taken_back(begin: Callable[..., object], problem: BaseException) -> None:
    said: list[list[str]] = []

    def ask(*commands: list[str]) -> list[object]:
        said.extend(commands)
        if said[-1][-1] in ("noeviction", "1"):
            raise problem
        return [[name.encode() for name in (commands[0][2], "before")]]

    with pytest.raises(type(problem)):
        begin(ask)
    assert said[-1][-1] in ("before", "ONE")


def test_what_cannot_be_taken_back_either_is_told_as_it_failed_first() -> None:
    def down(*_: object) -> None:
        raise ServerUnavailable("down")

    with pytest.raises(ServerUnavailable, match="down"):
        replica_of_nobody(down)
