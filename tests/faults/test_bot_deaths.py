"""Death of the bot, from a person's command to the message that it sends on.

What was not kept is not accepted: it costs nothing, and takes no place in a limit. What was kept
and not sent is sent by the next bot, once; what was sent needs no bot any more.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Final

import psutil
import pytest

from db import limits
from db.states import Status
from tests.e2e.bot.studio import Studio, id_of
from tests.e2e.delivery import EDITS
from tests.e2e.discord import Interaction, Person, When, fake_discord
from tests.e2e.discord.rest.faults import Ending
from tests.faults.conftest import Record
from tests.faults.ledger import Line
from tests.faults.points import Death
from tests.faults.relay import Relay, relay
from tests.faults.scene import Reached
from tests.workers.conftest import MakeSystem
from tests.workers.running import Process

PROMISE: Final = "POST /interactions/*"

WAIT: Final = 60.0
"""Seconds until a video is there that the next bot sends for: it looks every five."""

Place = Callable[[Studio, Relay, Process, Person], AbstractContextManager[Reached]]


def discord(route: str, when: When) -> Place:
    @contextmanager
    def answering(studio: Studio, _: Relay, __: Process, ___: Person) -> Iterator[Reached]:
        fault = studio.discord.faults.hang(route, when=when)
        yield fault.wait_until_reached
        # What was not done never will be.
        fault.release(Ending.CUT)

    return answering


def message(when: Death) -> Place:
    @contextmanager
    def publishing(_: Studio, way: Relay, bot: Process, person: Person) -> Iterator[Reached]:
        # It may be sending somebody else's anew.
        words = ("LPUSH", '"task": "create_request"', f'"user_id": "{person.id}"')
        with way.held(*words, when=when) as hold:

            def is_reached() -> None:
                line = hold.wait()
                connections = psutil.Process(bot.pid).net_connections()
                assert line in {each.laddr.port for each in connections}

            yield is_reached

    return publishing


@dataclass(frozen=True)
class Case:
    """Where death comes, and what the person who asked sees then."""

    place: Place
    sees: Callable[[Interaction], bool]
    #: In Postgres, before the person is told anything.
    is_kept: bool = True
    is_sent: bool = False


def nothing(asked: Interaction) -> bool:
    """Discord itself says, after three seconds, that the application did not respond."""
    return asked.callback is None


def a_promise(asked: Interaction) -> bool:
    return asked.is_deferred and not asked.history


def a_sentence(asked: Interaction) -> bool:
    return "Your video goes into the queue" in asked.content


CASES: Final = {
    "promise, received": Case(discord(PROMISE, When.RECEIVED), nothing, is_kept=False),
    "promise, applied": Case(discord(PROMISE, When.APPLIED), a_promise, is_kept=False),
    "sentence, received": Case(discord(EDITS, When.RECEIVED), a_promise),
    "sentence, applied": Case(discord(EDITS, When.APPLIED), a_sentence),
    "message, not sent": Case(message(Death.BEFORE), a_sentence),
    "message, sent": Case(message(Death.AFTER), a_sentence, is_sent=True),
}


@contextmanager
def begun(make_system: MakeSystem) -> Iterator[tuple[Studio, Relay]]:
    """A system without a bot yet, and the bots' way to Redis."""
    with fake_discord() as found:
        studio = Studio(found, make_system(SANDBOX_SECONDS=1))
        with relay(studio.environment["REDIS_URL"]) as way:
            yield studio, way
        assert not found.unexpected


def used(studio: Studio, person: Person) -> int:
    with studio.system.database.autocommit() as conn:
        return limits.get_rate_limit_info(conn, str(person.id), 100).used


def ask_and_die(
    studio: Studio, way: Relay, person: Person, bot: Process, case: Case
) -> Interaction:
    """A command, and the death of the bot at that place in its work on it."""
    with case.place(studio, way, bot, person) as is_reached:
        asked = person.slash("veo", {"prompt": "a red kite over a grassy park"})
        is_reached()
        bot.kill()
        assert case.sees(asked), asked.history
    return asked


@pytest.mark.parametrize(
    "names",
    [["message, not sent"], pytest.param([*CASES], marks=pytest.mark.long)],
)
def test_the_bot_dies(make_system: MakeSystem, record: Record, names: list[str]) -> None:
    with begun(make_system) as (studio, way):
        system = studio.system
        guild = studio.discord.new_guild()
        people = {name: studio.discord.new_person(name, guild) for name in names}
        asked: dict[str, Interaction] = {}
        for name in names:
            with studio.bot(REDIS_URL=way.url) as bot:
                asked[name] = ask_and_die(studio, way, people[name], bot, CASES[name])
        system.start_worker()
        for name in names:
            if CASES[name].is_sent:
                # No bot is there.
                asked[name].wait_for(lambda it: it.attachments, "the video")
        system.wait_until_quiet()
        with studio.bot():
            again = {
                name: person.slash("veo", {"prompt": "a blue kite"})
                for name, person in people.items()
            }
            those = [asked[name] for name in names if CASES[name].is_kept]
            for each in [*again.values(), *those]:
                each.wait_for(lambda it: it.attachments, "the video", within=WAIT)
        system.wait_until_quiet()
        lines = [line_of(studio, name, people[name], [asked[name], again[name]]) for name in names]
        record(*lines)
        for name, line in zip(names, lines, strict=True):
            accepted = 2 if CASES[name].is_kept else 1
            assert line == Line(line.fault, accepted, accepted, accepted, accepted, 0, 0)
            assert used(studio, people[name]) == accepted
            is_row = system.find(id_of(asked[name])) is not None
            assert is_row is CASES[name].is_kept
        for process in system.processes:
            process.kill()


def line_of(studio: Studio, name: str, person: Person, asked: list[Interaction]) -> Line:
    """As in the ledger, of what one person asked for."""
    rows, calls = studio.requests_of(person), studio.system.calls()
    paid = [calls[row.id] for row in rows]
    answers = sum(bool(each.attachments) for each in asked)
    whole = ["created", "generating", "completed", "delivered"]
    return Line(
        f"bot: {name}",
        accepted=len(rows),
        ended=sum(row.status is Status.COMPLETED for row in rows),
        paid_calls=sum(paid),
        answers=answers,
        lost=sum(studio.system.story(row.id) != whole for row in rows),
        doubled=sum(number > 1 for number in paid) + len(person.pings),
    )
