"""The real bot as a process, beside the double of Discord and a system of real servers."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID, uuid4, uuid5

from sqlalchemy import select

from bot.discord import taking
from db import admission
from db.records import NewRequest, Request
from db.requests import as_request
from db.tables import video_requests
from tests.e2e.discord import FakeDiscord, Interaction, Person
from tests.workers.harness import System
from tests.workers.running import Process
from tests.workers.waiting import PATIENCE

COMMANDS: Sequence[str] = (
    "dashboard",
    "history",
    "limits",
    "mydata",
    "quota",
    "stats",
    "veo",
    "video",
)
"""All that are registered, in the order of their names."""
WRITE = "POST /applications/*"


class Studio:
    """A Discord, a system, and the bot between them."""

    def __init__(self, discord: FakeDiscord, system: System) -> None:
        self.discord = discord
        self.system = system
        # The workers' too.
        self.environment = system.environment
        self.environment |= {"DISCORD_TOKEN": discord.token, "DISCORD_API_URL": discord.url}

    @contextmanager
    def bot(self, **environment: object) -> Iterator[Process]:
        """A bot, serving, for the block. It is killed at its end."""
        given = {name: str(value) for name, value in environment.items()}
        bots = len(self.discord.gateway.sessions.connected)
        number = len(self.system.processes) + 1
        log = self.system.folder / f"bot-{number}.log"
        process = Process(["bot"], {**self.environment, **given}, log)
        self.system.processes.append(process)
        try:

            def serves() -> bool:
                assert process.status is None, process.log
                return len(self.discord.gateway.sessions.connected) > bots

            self.discord.world.wait_for(serves, "the bot serves")
            self.discord.wait_for_commands(*COMMANDS)
            yield process
        finally:
            process.kill()
            self.discord.gateway.wait_until_gone()

    def requests_of(self, person: Person) -> list[Request]:
        """The rows of somebody, the oldest first."""
        wanted = select(video_requests).where(video_requests.c.user_id == str(person.id))
        with self.system.database.autocommit() as conn:
            found = conn.execute(wanted.order_by(video_requests.c.created_at)).mappings()
            return [as_request(each) for each in found]

    def admit(self, person: Person, *prompts: str) -> None:
        """Requests of somebody that no worker takes up."""
        guild = person.place.guild
        where = ("dm" if guild is None else str(guild.id), str(person.place.id))
        with self.system.database.autocommit() as conn:
            for each in prompts:
                new = NewRequest(uuid4(), str(person.id), *where, each)
                hour = timedelta(hours=1)
                admission.admit(conn, new, daily_limit=100, monthly_quota=100, lease=hour)


def id_of(asked: Interaction) -> UUID:
    """The request that an interaction asks for."""
    return uuid5(taking._INTERACTIONS, str(asked.id))


def wait_until_said(asked: Interaction, text: str, *, within: float = PATIENCE) -> Interaction:
    """Itself, once its answer has had this in its text; a worker may have gone on with it."""
    return asked.wait_for(
        lambda it: any(text in each.content for each in it.history), text, within=within
    )


def texts(asked: Interaction) -> str:
    """All that the answer says."""
    return f"{asked.content}\n{asked.embeds}"
