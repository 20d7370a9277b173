"""Which server `auto` takes, which version or image a choice means, and what is said beforehand. Nothing is started."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from redis_perf import ServerUnavailable, servers
from redis_perf.servers import embedded, engine, installed, plan, scram
from redis_perf.servers.docker import image

ENGINE_MISSING = "redis=docker: no container engine answers at unix:///nowhere (reason): start one; other ways: a URL"


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REDISPERF_REDIS", "REDISPERF_POSTGRES"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "REDIS_BINARIES", {"no_such_package": "*"})
    monkeypatch.setattr(embedded, "POSTGRES_BINARIES", {"no_such_package": "*"})


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(store: str) -> None:
        raise ServerUnavailable(ENGINE_MISSING)

    monkeypatch.setattr(plan, "_engine_answers", refuse)


@pytest.fixture
def an_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "_engine_answers", lambda store: None)


def program(directory: Path, name: str, says: str) -> Path:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def three(tmp_path: Path) -> list[Path]:
    return [program(tmp_path, f"{v}/postgres", f"postgres (PostgreSQL) {v}") for v in ("16.1", "16.13", "18.4")]


def test_auto_takes_the_url_in_our_own_variable_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDISPERF_REDIS", "redis://h/0")
    assert plan.planned("redis", "auto", strict=True) == ("redis://h/0", "", ())


def test_auto_does_not_look_at_the_variables_of_the_application(
    monkeypatch: pytest.MonkeyPatch, no_wheel: None, no_engine: None
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://production/0")
    monkeypatch.setenv("DATABASE_URL", "postgresql://production/app")
    assert plan.planned("postgres", "auto").choice == "fake"


def test_auto_takes_a_server_from_a_wheel_before_a_container(an_engine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "redis_binary", lambda asked: Path("/bin/false"))
    assert plan.planned("redis", "auto", strict=True) == ("embedded", "", ())


def test_auto_takes_a_container_before_a_fake_and_says_why(no_wheel: None, an_engine: None) -> None:
    found = plan.planned("redis", "auto")
    assert (found.choice, found.program) == ("docker", "redis:8")
    assert found.passed_over == (
        "redis=embedded: no valkey-server or redis-server for this machine in this Python's site-packages "
        "(looked for no_such_package)",
    )


def test_auto_takes_the_fake_last_and_says_why(no_wheel: None, no_engine: None) -> None:
    found = plan.planned("postgres", "auto")
    assert (found.choice, found.program) == ("fake", "a stand-in that runs no SQL")
    assert found.passed_over[1] == ("redis=docker: no container engine answers at unix:///nowhere (reason): start one")


def test_strictness_forbids_to_fall_back(no_wheel: None, an_engine: None) -> None:
    with pytest.raises(ServerUnavailable) as caught:
        servers.postgres("auto", strict=True)
    assert str(caught.value) == (
        "postgres=auto: postgres=embedded: no postgres for this machine in this Python's site-packages (looked for "
        "no_such_package). The next ones would be docker and fake, but falling back is forbidden by "
        "--redisperf-strict-servers, which is on where CI is set (ini key redisperf_strict_servers = false to allow "
        "it). Make the first way work or name the one you mean, --redisperf-postgres=docker for example"
    )


def test_any_other_choice_is_what_it_says(no_wheel: None) -> None:
    assert plan.planned("postgres", "postgresql://h/app") == ("postgresql://h/app", "", ())
    assert plan.planned("postgres", "docker:16") == ("docker:16", "postgres:16", ())


@pytest.mark.parametrize(
    ("choice", "taken"),
    [
        ("docker", "redis:8"),
        ("docker:7.2", "redis:7.2"),
        ("docker:7.2-alpine", "redis:7.2-alpine"),
        ("docker:valkey/valkey:8", "valkey/valkey:8"),
        ("docker:registry.example:5000/redis:7", "registry.example:5000/redis:7"),
        ("docker:127.0.0.1:5000/redis:7", "127.0.0.1:5000/redis:7"),
    ],
)
def test_the_image_of_a_choice(choice: str, taken: str) -> None:
    assert image(choice, "redis:8") == taken


@pytest.mark.parametrize(("asked", "taken"), [("16", "16.13"), ("16.1", "16.1"), ("18", "18.4"), ("", "18.4")])
def test_the_newest_of_the_version_asked_for_is_taken(asked: str, taken: str, three: list[Path]) -> None:
    found = installed.chosen(three, asked, "postgres=system")
    assert found is not None
    assert found.parent.name == taken


def test_a_version_that_is_not_there_names_those_that_are(three: list[Path]) -> None:
    with pytest.raises(ServerUnavailable) as caught:
        installed.chosen(three, "17", "postgres=embedded")
    assert str(caught.value) == "postgres=embedded: no version 17 here; there are 16.1 and 16.13 and 18.4"


@pytest.mark.parametrize(
    ("output", "read"),
    [
        ("postgres (PostgreSQL) 15.16 (Debian 15.16-0+deb12u1)", "PostgreSQL 15.16"),
        ("Valkey server v=9.1.2 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64", "Valkey 9.1.2"),
        ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64", "Redis 7.0.15"),
        ("no such option", ""),
    ],
)
def test_the_version_a_program_says(output: str, read: str, tmp_path: Path) -> None:
    assert installed.said(program(tmp_path, "server", output)) == read


def test_a_program_that_cannot_be_run_says_no_version(tmp_path: Path) -> None:
    assert installed.said(tmp_path / "missing") == ""


def test_without_its_package_docker_says_which_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "find_spec", lambda name: None)
    with pytest.raises(ServerUnavailable) as caught:
        servers.redis("docker")
    assert str(caught.value) == (
        "redis=docker: the package testcontainers is not installed: pip install 'pytest-redisperf[docker]'; "
        "other ways: --redisperf-redis=embedded, --redisperf-redis=system or a URL"
    )


def test_without_an_engine_docker_says_where_it_knocked(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("testcontainers.core.docker_client")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")
    with pytest.raises(ServerUnavailable) as caught:
        servers.postgres("docker")
    assert str(caught.value) == (
        "postgres=docker: no container engine answers at unix:///nowhere ([Errno 2] No such file or directory): start "
        "one or set DOCKER_HOST; other ways: --redisperf-postgres=embedded, --redisperf-postgres=system or a URL"
    )


def test_an_error_of_the_operating_system_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(asked: str) -> None:
        raise OSError(28, "No space left on device", "/tmp/redisperf-1")

    monkeypatch.setattr(embedded, "postgres", full)
    with pytest.raises(ServerUnavailable) as caught:
        servers.postgres("embedded")
    assert str(caught.value) == (
        "postgres=embedded: cannot be started: [Errno 28] No space left on device: '/tmp/redisperf-1'"
    )


def test_a_login_answers_the_challenge_of_rfc_7677(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.urandom", lambda size: base64.b64decode("rOprNGfwEbeRWgbNEkqO"))
    login = scram.Login("pencil", user="user")
    assert login.first == b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    challenge = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    assert login.final(challenge) == (
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    login.check(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
    with pytest.raises(ServerUnavailable, match="could not prove that it knows the password"):
        login.check(b"v=AAAA")


def test_a_challenge_that_is_not_an_answer_to_ours_is_refused() -> None:
    with pytest.raises(ServerUnavailable, match="does not continue our nonce"):
        scram.Login("pencil").final(b"r=somebody,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
