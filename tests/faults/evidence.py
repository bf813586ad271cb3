"""What is known of each request, and what is wrong with it.

It comes from what cannot err: the operations that Google has begun, the messages that stand in
Discord, and the rows with their events.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from typing import Final
from uuid import UUID

from sqlalchemy import select, text

from bot.discord.sentences import WAITS
from db.records import Request
from db.states import Status
from db.tables import sent_requests
from tests.e2e.discord import Message
from tests.e2e.discord.rest.ledger import LOST
from tests.faults import dossier
from tests.faults.asking import Asked
from tests.faults.books import complaints_of_the_books
from tests.faults.ledger import Line
from tests.faults.stage import Stage, film
from workers.discord import PATIENCE
from workers.sending import nonce

STORIES: Final = {
    Status.COMPLETED: [["created", "generating", "completed"]],
    Status.FAILED: [["created", "generating", "failed", "failed"]],
    Status.TIMEOUT: [
        ["created", "generating", "timeout"],
        ["created", "generating", "timeout", "late_result"],
    ],
}
BESIDE: Final = (
    "delivered",
    "delivered late",
    "delivery_failed",
    "delivery_failed late",
    "accepted_late",
    # What was known otherwise without Postgres; what stands has won.
    "contradicted",
)
"""Events that belong to no story, and may come at any time."""
QUEUED: Final = "Your video goes into the queue"
"""How an answer begins that promises another."""
READY: Final = "your video is ready"
IN_HANDS: Final = 60.0
"""Seconds, and some more, for which a bot can have a request in its hands, whatever hangs: until it
is kept, told and handed over."""
_NAMED: Final = re.compile(r"video:\w+:([0-9a-f-]{36})")


class Evidence:
    """All that is known of some requests at one moment."""

    def __init__(self, stage: Stage, asked: Collection[Asked]) -> None:
        ids = [one.id for one in asked]
        self.rows = {row.id: row for row in stage.system.rows(ids)}
        self.stories = _stories(stage, ids)
        self.calls = stage.google.vertex.taken()
        self.answers: dict[UUID, list[Message]] = defaultdict(list)
        #: What the bot has written to channels, by what makes each message one.
        self.written: set[str] = set()
        with stage.discord.world.changed:
            for message in stage.discord.world.messages.values():
                for name in set(_NAMED.findall(str(message.components))):
                    self.answers[UUID(name)].append(message)
                if message.nonce is not None:
                    self.written.add(message.nonce)
        self.on_the_way = set(stage.system.broker.outstanding())
        with stage.system.database.autocommit() as conn:
            #: What the bot will send again, if need be.
            self.kept = set(conn.execute(select(sent_requests.c.request_id)).scalars())
        self._bots = stage.bots
        #: Answers' tokens for which a call to Discord had no end, a bad one, or one that came when
        #: nobody waited for it any more.
        self.unsure = {
            entry.path.split("/")[3]
            for entry in stage.discord.ledger.entries("PATCH /webhooks/*")
            if entry.status in (None, LOST)
            or entry.status >= 500
            or (entry.seconds or 0) > PATIENCE
        }

    def is_settled(self, one: Asked) -> bool:
        """Whether nothing more is to be waited for."""
        row = self.rows.get(one.id)
        if row is None:
            is_over = self.is_told(one) or self.is_cut_off(one)
            return is_over and one.id not in self.on_the_way
        is_late = row.status is Status.TIMEOUT and self.calls[one.id] and one.has_video
        # Perhaps by somebody who did not know of the timeout: then nothing more is to come.
        is_given = any(READY in answer.content for answer in self.answers[one.id])
        last = "delivered late" if is_late and not is_given else "delivered"
        return last in self.stories[one.id]

    def is_told(self, one: Asked) -> bool:
        """Whether who asked knows that nothing comes of it; by Discord, if nobody answered."""
        said = one.answer.history[-1].content if one.answer.history else ""
        is_answered = bool(said) and not said.startswith((QUEUED, WAITS))
        return one.answer.failed or is_answered or nonce(one.id) in self.written

    def is_cut_off(self, one: Asked) -> bool:
        """Whether the bot that promised it was killed before it had handed it over."""
        is_lost = one.id not in {*self.rows, *self.on_the_way, *self.kept}
        if not is_lost or one.answer.answered is None or self.is_told(one):
            return False
        its = [each for each in self._bots if each.begun < one.answer.answered][-1]
        if its.killed_at is None or its.killed_at > one.answer.answered + IN_HANDS:
            return False
        return str(one.id) not in self._handed_over

    @cached_property
    def _handed_over(self) -> set[str]:
        """What the queue has confirmed to a bot."""
        return {
            line["request_id"]
            for each in self._bots
            for line in each.process.said("request_published")
        }

    def complaints(self, one: Asked) -> Iterator[str]:
        """What is wrong with it."""
        row, calls = self.rows.get(one.id), self.calls[one.id]
        if row is None:
            if calls:
                yield "was paid for, and there is no row of it"
            if not self.is_told(one) and not self.is_cut_off(one):
                yield f"was promised, and nobody knows of it: {one.answer}"
            return
        story = self.stories[one.id]
        told = [event for event in story if event not in BESIDE]
        if told not in STORIES.get(row.status, []):
            yield f"is {row.status}, and its events say {story}"
        if story.count("delivered") != 1 or story.count("delivered late") > 1:
            yield f"was delivered otherwise than once: {story}"
        if row.prompt != one.prompt or row.user_id != str(one.person.id):
            yield "is not what was asked for"
        # None only where death fell between claim and call; and what was never taken costs nothing.
        is_given_back = not row.billed and not (row.status is Status.TIMEOUT and row.counted)
        if row.status.has_ended and not calls and not is_given_back:
            yield f"was never begun, and is {row.status} without its place or money given back"
        if calls and row.status is Status.COMPLETED and not row.billed:
            yield "was made for nothing"
        yield from self._about_answers(one, row)

    def _about_answers(self, one: Asked, row: Request) -> Iterator[str]:
        answers = self.answers[one.id]
        if not answers:
            yield "has no answer"
        for answer in answers:
            has_video = READY in answer.content or "here it is" in answer.content
            if has_video and not (row.video_urls and _shows(answer, one)):
                yield f"has an answer without its own video: {answer.content!r}"
            if not has_video and answer.attachments:
                yield f"has an answer with a video: {answer.content!r}"
        if not all(f"/{one.id}/" in url for url in row.video_urls or ()):
            yield f"has another's videos: {row.video_urls}"

    def too_many(self, one: Asked) -> tuple[int, int]:
        """Calls and answers too many; and answers too many that Discord itself left unknown."""
        calls = max(0, self.calls[one.id] - 1)
        allowed = 1 + ("delivered late" in self.stories[one.id])
        answers = max(0, len(self.answers[one.id]) - allowed)
        is_unsure = one.answer.token in self.unsure
        unknown = min(answers, 1) if is_unsure else 0
        return calls + answers - unknown, unknown


def line(fault: str, stage: Stage, asked: Sequence[Asked], seconds: float) -> Line:
    """The line of what was asked for, once all of it should have ended."""
    found = Evidence(stage, asked)
    doubled = {one: found.too_many(one) for one in asked}
    wrong = {one: each for one in asked if (each := [*found.complaints(one)])}
    often = {
        one: [f"was paid for or answered {number} times too often"]
        for one, (number, _) in doubled.items()
        if number
    }
    of_all = [
        *(f"{one.prompt} {each}" for of in (wrong, often) for one in of for each in of[one]),
        *complaints_of_the_books(stage, asked),
        *(f"{each} is left over" for each in stage.orphans()),
    ]
    if of_all:
        kept = dossier.keep(
            stage, {one: [*wrong.get(one, ()), *often.get(one, ())] for one in wrong | often}
        )
        of_all.append(f"All that is known of it is in {kept}")
    return Line(
        fault,
        asked=len(asked),
        accepted=len(found.rows),
        ended=sum(row.status.has_ended for row in found.rows.values()),
        paid_calls=sum(found.calls[one.id] for one in asked),
        answers=sum(len(found.answers[one.id]) for one in asked),
        unknown=sum(unknown for _, unknown in doubled.values()),
        cut_off=sum(found.is_cut_off(one) for one in asked),
        lost=len(wrong),
        doubled=sum(number for number, _ in doubled.values()),
        seconds=seconds,
        complaints=tuple(of_all),
    )


def _shows(answer: Message, one: Asked) -> bool:
    """Whether the answer has the video of this request, or the way to it where it cannot."""
    if answer.attachments:
        return [each.content for each in answer.attachments] == [film(one.prompt)]
    return str(one.id) in answer.content


def _stories(stage: Stage, ids: Collection[UUID]) -> dict[UUID, list[str]]:
    """The events of each in words, oldest first: the moves by the state they lead to."""
    found = text(
        "SELECT request_id, event_type, event_data->>'to', event_data ? 'late'"
        " FROM video_events WHERE request_id = ANY(:ids) ORDER BY id"
    )
    stories: dict[UUID, list[str]] = defaultdict(list)
    with stage.system.database.autocommit() as conn:
        for request_id, kind, to, is_late in conn.execute(found, {"ids": [*ids]}):
            stories[request_id].append(to or (f"{kind} late" if is_late else kind))
    return stories
