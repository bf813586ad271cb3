"""The line to Postgres is cut at each write of a request's way, while both of its ends live.

Before the write has arrived, or after it was done and before anybody has heard of that; who asked
for it cannot know which. It costs no request its video, and makes nobody pay or answer twice.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from tests.e2e.delivery import Studio, new_studio
from tests.e2e.discord import FakeDiscord, Person, fake_discord
from tests.faults.conftest import Record
from tests.faults.ledger import draw_up
from tests.faults.points import Death
from tests.faults.relay import Relay, relay
from tests.workers.conftest import MakeSystem
from tests.workers.waiting import until
from workers import chain

#: What each write says, beside the request's id.
WRITES: Final = {
    "admission": ("CALL admit_unless_forgotten",),
    "claim": ("claimed_at=now()",),
    "start": ("operation_name=", "started_at=now()"),
    "poll": ("= ANY (", "attempts="),
    "completion": ("completed_at=now()",),
    "answer begun": ("delivery_attempts=", "COMMIT"),
    "answer written": ("delivered_at=now()", "COMMIT"),
}

Place = tuple[Studio, Relay]


@pytest.fixture(scope="module")
def place(make_shared_system: MakeSystem) -> Iterator[Place]:
    """A system whose worker speaks to Postgres by a line that can be cut."""
    with ExitStack() as stack:
        discord = stack.enter_context(fake_discord())
        studio = new_studio(
            stack,
            make_shared_system,
            discord,
            RESCUE_AFTER_SECONDS=2,
            GENERATION_TIMEOUT_SECONDS=30,
            DAILY_LIMIT=100,
        )
        way = stack.enter_context(relay(studio.system.environment["DATABASE_URL"]))
        studio.system.start_worker(DATABASE_URL=way.url)
        yield studio, way
        assert not discord.unexpected


@pytest.fixture
def discord(place: Place) -> FakeDiscord:
    return place[0].discord


@pytest.mark.parametrize("when", Death)
@pytest.mark.parametrize("write", WRITES)
def test_the_line_to_postgres_is_cut(
    place: Place, ana: Person, record: Record, write: str, when: Death
) -> None:
    studio, way = place
    new = studio.request(ana)
    with way.held(*WRITES[write], str(new.id), when=when) as held:
        asked = studio.ask(ana, id=new.id)
        held.wait()
        with way.closed():
            pass
    studio.wait_until_delivered(asked)
    record(line := draw_up(f"{write} cut off, {when}", studio, [asked]))
    # Nobody died, so nothing is excused.
    assert (line.ended, line.paid_calls, line.answers) == (1, 1, 1)
    assert studio.system.row(asked.id).counted


def test_a_start_without_its_message_is_cut_off(place: Place, ana: Person) -> None:
    # Only its row tells of it, as where it has waited for its turn.
    studio, way = place
    new = studio.request(ana)
    with way.held(*WRITES["claim"], str(new.id), when=Death.AFTER) as held:
        asked = studio.admit(ana, id=new.id)
        expires_at = datetime.now(UTC) + timedelta(seconds=2)
        with studio.system.broker.in_use():
            chain.call(new.id, expires_at=expires_at)
        held.wait()
        assert studio.system.row(new.id).claim is not None
        # What is known of its claim does not expire with its turn.
        until(lambda: datetime.now(UTC) > expires_at, what="its turn is over")
        with way.closed():
            pass
    studio.wait_until_delivered(asked)
    assert studio.system.calls()[new.id] == 1
