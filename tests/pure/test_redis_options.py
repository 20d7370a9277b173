"""What options make of a Redis's configuration file and URL."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_perf.servers.postgres_options import PostgresOptions
from redis_perf.servers.redis_options import ADMINISTRATOR, RedisOptions, quoted


def lines(**options: object) -> list[str]:
    return list(RedisOptions(**options).lines("admin"))  # type: ignore[arg-type]


def test_plainly_nothing_is_kept_and_nobody_asks_for_a_password() -> None:
    assert lines() == ["appendonly no"]
    assert RedisOptions().login("admin") == []
    assert RedisOptions().url(6379, None) == "redis://127.0.0.1:6379/0"


def test_a_password_is_the_default_users() -> None:
    assert lines(password="x") == ["appendonly no", 'requirepass "x"']
    assert RedisOptions(password="x").login("admin") == [["AUTH", "x"]]
    assert RedisOptions(password="x").url(6379, None) == "redis://:x@127.0.0.1:6379/0"


def test_a_user_is_an_acl_rule_and_the_default_user_is_off() -> None:
    made = lines(user="ada", password="x", acl="~a:* +get")
    assert made[1] == "user default off"
    assert made[2].startswith("user ada on #")
    assert made[2].endswith(" ~a:* +get")
    assert made[3].startswith(f"user {ADMINISTRATOR} on #")
    assert RedisOptions(user="ada", password="x").login("admin") == [["AUTH", ADMINISTRATOR, "admin"]]


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        (RedisOptions(password="x"), {"user": "ada", "password": ""}),
        (PostgresOptions(), {"scram_iterations": 0}),
        (PostgresOptions(), {"settings": {"port": "1"}}),
    ],
)
def test_changed_options_are_checked_as_new_ones_are(
    options: RedisOptions | PostgresOptions, changed: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=next(iter(changed))):
        options._replace(**changed)
    assert options._replace(tls=True) == type(options)(**{**options._asdict(), "tls": True})


def test_options_can_be_handed_to_another_process() -> None:
    for options in (RedisOptions(password="x"), PostgresOptions(), PostgresOptions(settings={"jit": "on"})):
        assert pickle.loads(pickle.dumps(options)) == options


def test_settings_that_nobody_gave_are_nobodys_to_change() -> None:
    for options in (RedisOptions(), PostgresOptions()):
        with pytest.raises(TypeError):
            options.settings["port"] = "1"  # type: ignore[index]


def test_what_is_answered_is_in_the_log_before() -> None:
    assert lines(appendonly=True) == ["appendonly yes", "appendfsync always"]


def test_settings_are_lines_as_they_are() -> None:
    assert lines(settings={"maxmemory": "1mb", "save": "60 1"})[1:] == ["maxmemory 1mb", "save 60 1"]


def test_with_tls_the_url_names_whom_to_trust() -> None:
    url = RedisOptions(tls=True).url(6379, Path("/run/a b/ca.pem"))
    assert url == "rediss://127.0.0.1:6379/0?ssl_ca_certs=/run/a%20b/ca.pem"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"user": "ada"}, "has no password"),
        ({"user": "a\nb", "password": "x"}, "one line"),
        ({"settings": {"a": "b\nc"}}, "one line"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        RedisOptions(**options)  # type: ignore[arg-type]


@given(st.text(min_size=1))
def test_any_password_fits_into_a_url_and_on_one_line(password: str) -> None:
    password = password.encode(errors="ignore").decode() or "x"
    parts = urlsplit(RedisOptions(password=password).url(6379, None))
    assert unquote(parts.password or "") == password
    assert quoted(password).isascii()
    assert len(quoted(password).splitlines()) == 1
