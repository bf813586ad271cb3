"""A request's way into the queue, without Discord."""

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from bot.discord import taking
from bot.discord.held import Asking
from db.records import NewRequest, ReplyTo
from tests.db.rows import new_request


class Slow:
    """A desk behind which everything takes its time; when it was first asked, and what it sent."""

    def __init__(self) -> None:
        self.first_at: datetime | None = None
        self.asked_at: datetime | None = None
        self.in_hand = set[UUID]()

    async def take_up(self, new: NewRequest, reply_to: ReplyTo, *, asked_at: float) -> Asking:
        self.first_at = datetime.now(UTC)
        return Asking(new, reply_to, "It goes into the queue.", asked_at)

    async def publish(self, *_what: object, asked_at: datetime) -> None:
        self.asked_at = asked_at


def test_it_was_asked_for_before_anything_was_done_about_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever is forgotten while Discord hangs had asked for it before."""

    async def tell(*_what: object) -> None:
        pass

    monkeypatch.setattr(taking, "tell", tell)
    asked: Any = SimpleNamespace(id=1, application_id=2, token="token")
    desk: Any = Slow()
    asyncio.run(taking.take_on(desk, asked, new_request()))
    assert desk.asked_at is not None
    assert desk.first_at is not None
    assert desk.asked_at <= desk.first_at
