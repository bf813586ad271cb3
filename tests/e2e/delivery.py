"""Requests asked for in the fake Discord, and answered by real workers."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import text

from db.records import NewRequest, ReplyTo
from tests.db.rows import new_request
from tests.e2e.discord import Callback, FakeDiscord, Interaction, Person
from tests.e2e.raw import Raw
from tests.workers.conftest import MakeSystem
from tests.workers.harness import System
from tests.workers.waiting import until
from workers import admitting

EDITS = "PATCH /webhooks/*"
EVERY_TIME: Final = 1_000_000
"""An accident that lasts until it is released."""


@dataclass(frozen=True)
class Asked:
    """One request, and the answer that was promised to it."""

    id: UUID
    person: Person
    answer: Interaction


class Studio:
    """A system whose workers answer in a Discord, and a bot that only defers and enqueues."""

    def __init__(self, system: System, discord: FakeDiscord) -> None:
        self.system = system
        self.discord = discord
        self.raw = Raw(discord)
        self.raw.register()

    def ask(self, person: Person, *, has_token: bool = True, **changes: Any) -> Asked:
        """`/veo`, deferred and enqueued as the bot does it."""
        asked, new, reply_to = self._promise(person, **changes)
        self.system.submit(new, reply_to=reply_to if has_token else None)
        return asked

    def admit(self, person: Person, **changes: Any) -> Asked:
        """The same, accepted at once; and what would have it started is lost."""
        asked, new, reply_to = self._promise(person, **changes)
        assert admitting.admit(self.system.context, new, reply_to=reply_to).is_allowed
        return asked

    def _promise(self, person: Person, **changes: Any) -> tuple[Asked, NewRequest, ReplyTo]:
        answer = person.slash("veo", {"prompt": "a red fox"})
        assert self.raw.answer(answer, Callback.DEFERRED_MESSAGE).status_code == 204
        new = self.request(person, **changes)
        reply_to = ReplyTo(str(self.discord.world.application_id), answer.token)
        return Asked(new.id, person, answer), new, reply_to

    @staticmethod
    def request(person: Person, **changes: Any) -> Any:
        """A new request of this person, who is where he is."""
        place = person.place
        fields: dict[str, Any] = {
            "id": uuid4(),
            "user_id": str(person.id),
            "guild_id": str(place.guild.id) if place.guild else "dm",
            "channel_id": str(place.id),
            "generate_audio": False,
        }
        return new_request(**fields | changes)

    def wait_until_delivered(self, asked: Asked) -> dict[str, Any]:
        """What the event says of it."""
        self.system.wait_for_row(asked.id, lambda row: row.delivered_at is not None)
        [told] = self.told(asked, "delivered")
        return told

    def told(self, asked: Asked, kind: str) -> list[dict[str, Any]]:
        """The data of its events of one type."""
        return [each.event_data for each in self.system.events(asked.id) if each.event_type == kind]

    def answers(self, asked: Asked) -> list[str]:
        """Every message that speaks of an end of this request, in the whole channel."""
        with self.discord.world.changed:
            messages = [*self.discord.world.messages.values()]
        return [each.content for each in messages if f":{asked.id}" in str(each.components)]

    def make_delivery_due(self, asked: Asked) -> None:
        """Have the lease of whoever is at it be over."""
        with self.system.database.begin() as conn:
            conn.execute(
                text("UPDATE video_requests SET delivery_due_at = now() WHERE id = :id"),
                {"id": asked.id},
            )

    def tokens(self) -> int:
        """How many tokens the database holds."""
        with self.system.database.autocommit() as conn:
            return int(conn.execute(text("SELECT count(*) FROM reply_tokens")).scalar_one())

    def wait(self, look: Callable[[], object], what: str) -> None:
        """Until it is as wanted."""
        until(lambda: bool(look()), what=what)


def new_studio(
    stack: ExitStack, make_system: MakeSystem, discord: FakeDiscord, **environment: object
) -> Studio:
    """A studio without a worker yet."""
    given = {"DISCORD_API_URL": discord.url, "DISCORD_TOKEN": discord.token, **environment}
    studio = Studio(make_system(**given), discord)
    stack.callback(studio.raw.session.close)
    return studio


def buttons(components: Any) -> dict[str, str]:
    """Custom ids by label."""
    return {each["label"]: each["custom_id"] for row in components for each in row["components"]}
