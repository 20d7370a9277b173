"""Running PostgreSQL when we are root, which it refuses to be: without adding a user or opening a directory.

First a user namespace in which we appear to be `nobody`; where that is forbidden (containers often forbid it),
become `nobody` for real. `nobody` may not be able to read the installation, in a mode 700 home for example: then it
is copied into the run directory.
"""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from redis_perf.errors import ServerUnavailable


class Unprivileged(NamedTuple):
    """How to run a command of `installation` as somebody who is not root."""

    installation: Path
    prefix: tuple[str, ...] = ()
    """Words to put before the command."""
    prepare: str = ":"
    """Shell text to run first, as ourselves."""
    hand_over: str = ":"
    """Shell text to run after anything was put into the directory as ourselves."""


def unprivileged(installation: Path, directory: Path) -> Unprivileged:
    """The way that works here to run this installation's programs on files below `directory`.

    Raises ServerUnavailable when we are root and cannot be anybody else.
    """
    if os.geteuid() != 0:
        return Unprivileged(installation)
    words, owner = _somebody()
    if not owner:
        return Unprivileged(installation, words)
    return _as_account(installation, directory, words, owner)


def as_somebody(directory: Path) -> Unprivileged:
    """The same for a program that lies where everybody may run it. Raises as `unprivileged` does."""
    if os.geteuid() != 0:
        return Unprivileged(directory)
    words, owner = _somebody()
    return Unprivileged(directory, words, _hand_over(directory, owner) if owner else ":")


def _somebody() -> tuple[tuple[str, ...], str]:
    """The words before a command; whom files must be given to (`65534:65534`), or nothing where they may stay root's.

    Raises ServerUnavailable.
    """
    account = _account()
    namespace = ("unshare", "--user", f"--map-user={account.pw_uid}", f"--map-group={account.pw_gid}")
    if _works(*namespace, "true"):
        return namespace, ""
    changed = ("setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups")
    if not _works(*changed, "true"):
        raise ServerUnavailable(
            "PostgreSQL refuses to run as root, and neither `unshare --user` nor `setpriv --reuid` works here "
            "(both are of util-linux): run as an ordinary user, or give --redisperf-postgres=postgresql://..."
        )
    return changed, f"{account.pw_uid}:{account.pw_gid}"


def _as_account(installation: Path, directory: Path, changed: tuple[str, ...], owner: str) -> Unprivileged:
    hand_over = _hand_over(directory, owner)
    prepare = [hand_over]
    # By way of a shell: what setpriv itself runs may still lie where only root can reach it, its libraries no more.
    if not _works(*changed, "sh", "-c", 'exec "$@"', "sh", str(installation / "bin/initdb"), "--version"):
        copy = directory / "copy" / installation.parent.name / installation.name
        prepare.insert(0, _copying(installation, copy))
        installation = copy
    return Unprivileged(installation, changed, " && ".join(prepare), hand_over)


def _hand_over(directory: Path, owner: str) -> str:
    return f"chown -R {owner} {shlex.quote(str(directory))}"


def _copying(installation: Path, copy: Path) -> str:
    """Shell text. A wheel's programs find the libraries packed with them in `<package>.libs` beside the package."""
    libraries = installation.parent.with_name(f"{installation.parent.name}.libs")
    commands = [["mkdir", "-p", copy.parent], ["cp", "-RH", installation, copy]]
    if libraries.exists():
        commands.append(["cp", "-R", libraries, copy.parent.with_name(libraries.name)])
    return " && ".join(shlex.join(map(str, command)) for command in commands)


def _account() -> pwd.struct_passwd:
    """`nobody`, or anybody but root: initdb wants its user to have a name."""
    accounts = [account for account in pwd.getpwall() if account.pw_uid != 0]
    if not accounts:
        raise ServerUnavailable(
            "PostgreSQL refuses to run as root, and there is no other account here: run as an ordinary user, "
            "or give --redisperf-postgres=postgresql://..."
        )
    return next((account for account in accounts if account.pw_name == "nobody"), accounts[0])


def _works(*command: str) -> bool:
    if shutil.which(command[0]) is None:
        return False
    null = subprocess.DEVNULL
    return subprocess.run(command, stdin=null, stdout=null, stderr=null, check=False).returncode == 0
