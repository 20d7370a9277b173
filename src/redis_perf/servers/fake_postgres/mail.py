"""LISTEN and NOTIFY between the sessions of one stand-in. A NOTIFY is sent when its transaction commits."""

from __future__ import annotations

import weakref
from typing import Final

from redis_perf.servers.fake_postgres.frames import notification

ALL: Final = "*"


class Mailbox:
    """What one session listens to, and what has come for it."""

    def __init__(self, process: int) -> None:
        self.process = process
        self.channels: set[str] = set()
        self.come: list[bytes] = []
        self.leaving: list[tuple[str, str]] = []

    def unlisten(self, channel: str) -> None:
        if channel == ALL:
            self.channels.clear()
        self.channels.discard(channel)


class Post:
    """All mailboxes there are, as long as their sessions live."""

    def __init__(self) -> None:
        self._boxes: weakref.WeakSet[Mailbox] = weakref.WeakSet()

    def box(self, process: int) -> Mailbox:
        box = Mailbox(process)
        self._boxes.add(box)
        return box

    def deliver(self, sender: Mailbox) -> None:
        for channel, payload in sender.leaving:
            for box in self._boxes:
                if channel in box.channels:
                    box.come.append(notification(sender.process, channel, payload))
        sender.leaving.clear()
