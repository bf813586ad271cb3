"""What the commands work with: the database, the queue and the limits, none of which may hang.

Whatever blocks goes to threads (:mod:`bot.discord.lanes`), after the first answer to the person.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, TypeVar
from uuid import UUID

import structlog
from sqlalchemy import Connection

from bot import words
from bot.blocking import blocked_word
from bot.discord import sentences
from bot.discord.held import Asking, Held
from bot.discord.lanes import Lane, NeverBegun, Unfinished
from bot.settings import BotSettings
from db import limits, requests, sent
from db.engine import Database
from db.errors import DatabaseError, DatabaseUnavailable, RequestNotFound
from db.records import NewRequest
from db.settings import DatabaseSettings
from db.standing import Limit, Standing
from workers import chain, privacy, providers, recovering, storage
from workers.ceiling import Ceiling
from workers.chain import ReplyTo
from workers.errors import BrokerUnavailable
from workers.privacy import Forgotten
from workers.settings import DiscordSettings, WorkerSettings

log = structlog.get_logger(__name__)

ANSWER_TIMEOUT: Final = timedelta(seconds=2)
"""For each answer of Postgres: a person waits."""
REPORT_TIMEOUT: Final = timedelta(seconds=15)
READING: Final = 8
PUBLISHING: Final = 8
"""Threads."""
LOOK_AGAIN: Final = timedelta(seconds=5)
"""Between two looks at a request that is no row yet."""
PATIENCE: Final = 6.0
"""Seconds until a person is told that something cannot be had now."""

T = TypeVar("T")


class Unavailable(Exception):
    """Something that is needed cannot be had now. The reason is for the log, never for users."""


class Declined(Exception):
    """What was asked for is not done. The message is for the one who asked."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the bot's process reads of its environment."""

    bot: BotSettings
    discord: DiscordSettings
    worker: WorkerSettings
    database: DatabaseSettings


class Desk:
    """The process's own, put together in one place."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.provider = providers.load(settings.worker)
        self.storage = storage.load(settings.worker)
        self.held = Held()
        self.ceiling = Ceiling()
        self._database = Database(settings.database, answer_timeout=ANSWER_TIMEOUT)
        self._patient = Database(settings.database, answer_timeout=REPORT_TIMEOUT)
        threads = min(READING, settings.database.database_max_connections)
        self._reading = Lane("reading", threads=threads, patience=PATIENCE)
        self._reporting = Lane("reporting", threads=1, patience=2 * REPORT_TIMEOUT.total_seconds())
        self._publishing = Lane("publishing", threads=PUBLISHING, patience=PATIENCE)
        # Its own: a storage that hangs is not to take the threads of those who ask something.
        self._marks = Lane("marks", threads=1, patience=2 * PATIENCE)
        #: Those whose first sentence, or message, is on its way: nobody else is to send them
        #: meanwhile, or that sentence would come after the answer of a worker.
        self.in_hand = set[UUID]()

    async def ask(self, question: Callable[[Connection], T]) -> T:
        """What the question makes of a connection, in a transaction of its own.

        Raises Unavailable, or RequestNotFound where the question does.
        """
        return await self._ask(self._reading, self._database, question)

    async def ask_soon(self, question: Callable[[Connection], T], *, within: float) -> T:
        """The same in so many seconds, for a person who has no answer yet."""
        try:
            async with asyncio.timeout(within):
                return await self.ask(question)
        except TimeoutError:
            raise Unavailable("the database did not answer soon enough") from None

    async def report(self, question: Callable[[Connection], T]) -> T:
        """The same for what may take long, one at a time."""
        return await self._ask(self._reporting, self._patient, question)

    async def _ask(self, lane: Lane, database: Database, question: Callable[[Connection], T]) -> T:
        def work() -> T:
            with database.begin() as conn:
                return question(conn)

        return await self._done(lane, work)

    @staticmethod
    async def _done(lane: Lane, work: Callable[[], T]) -> T:
        try:
            return await lane.run(work)
        except RequestNotFound:
            raise
        except DatabaseUnavailable as error:
            raise Unavailable(str(error)) from None
        except DatabaseError as error:
            log.error("database_refused", reason=str(error))
            raise Unavailable(str(error)) from None
        except (NeverBegun, Unfinished):
            raise Unavailable("the database did not answer in time") from None

    async def look_up(self, work: Callable[[], T]) -> T:
        """What blocks otherwise, like reading a file. Raises Unavailable."""
        try:
            return await self._reading.run(work)
        except (NeverBegun, Unfinished):
            raise Unavailable("it did not end in time") from None

    async def is_to_be_recovered(self, request_id: UUID) -> bool:
        """Whether it was begun without Postgres, and may have been paid for.

        Raises Unavailable, and StorageUnavailable.
        """
        try:
            return await self._marks.run(lambda: recovering.is_wanted(self.storage, request_id))
        except (NeverBegun, Unfinished):
            raise Unavailable("the storage did not answer in time") from None

    async def forget(self, user_id: str) -> Forgotten:
        """Forget all that the user has asked for. Raises Unavailable."""
        is_counted = self.settings.worker.failed_requests_count
        self.held.drop(lambda one: one.new.user_id == user_id)

        def work() -> Forgotten:
            return privacy.forget(self._patient, self.storage, user_id, is_counted=is_counted)

        try:
            return await self._done(self._reporting, work)
        finally:
            # Whoever looks after what is kept has seen it again meanwhile, and would keep it anew.
            self.held.drop(lambda one: one.new.user_id == user_id)

    def price(self, new: NewRequest) -> Decimal:
        """Dollars."""
        return self.provider.price(new)

    def blocked_word(self, prompt: str) -> str | None:
        """What the prompt holds and must not."""
        return blocked_word(prompt, self.settings.bot.blocked)

    async def standing(self, user_id: str, guild_id: str) -> Standing:
        """How the user stands with all limits and budgets. Raises Unavailable."""
        return await self.ask(lambda conn: self._standing(conn, user_id, guild_id))

    def _standing(self, conn: Connection, user_id: str, guild_id: str) -> Standing:
        return limits.get_standing(
            conn,
            user_id,
            guild_id,
            daily_limit=self.settings.worker.daily_limit,
            monthly_quota=self.settings.worker.monthly_quota,
        )

    def count_here(self, new: NewRequest, reason: str) -> None:
        """Count what no limit may count for now (DG1). Raises Declined."""
        log.warning("Rate limiting degraded", user_id=new.user_id, reason=reason)
        most = self.settings.worker.daily_limit
        if not self.ceiling.take(new.user_id, new.id, most=most):
            raise Declined(sentences.CEILING_REACHED)

    async def take_up(self, new: NewRequest, reply_to: ReplyTo, *, asked_at: float) -> Asking:
        """Keep it in Postgres, to be seen to should the queue lose it, unless a limit is reached.

        In one transaction, so that nothing but this process's death before its end loses it. The
        limits are only read, to refuse early: what counts is the admission. `asked_at` is by the
        monotonic clock. Raises Declined, and Unavailable where it cannot be kept.
        """
        cost_usd = self.price(new)

        def question(conn: Connection) -> str | Limit:
            standing = self._standing(conn, new.user_id, new.guild_id)
            if refused_by := standing.refusing(cost_usd):
                return refused_by
            told = sentences.queued(standing, cost_usd)
            _keep(conn, Asking(new, reply_to, told, asked_at), look_in=LOOK_AGAIN)
            return told

        found = await self.ask(question)
        if not isinstance(found, str):
            raise Declined(words.refusal(found, cost_usd))
        kept = Asking(new, reply_to, found, asked_at)
        self.held.note_kept(kept)
        return kept

    async def keep(self, one: Asking, *, look_in: timedelta) -> None:
        """Keep it in Postgres as long as it is no row. Raises Unavailable."""
        await self.ask(lambda conn: _keep(conn, one, look_in=look_in))
        self.held.note_kept(one)

    async def is_taken_on(self, request_id: UUID) -> bool:
        """Whether it is a row, as far as Postgres tells. Never raises."""
        try:
            return await self.ask(lambda conn: requests.get(conn, request_id)) is not None
        except Unavailable:
            return False

    async def forget_asking(self, request_id: UUID) -> None:
        """Have nobody look after it any more, where Postgres answers. Never raises."""
        self.held.drop(lambda one: one.new.id == request_id)
        try:
            await self.ask(lambda conn: sent.forget(conn, request_id))
        except Unavailable as error:
            log.warning("request_not_forgotten", request_id=str(request_id), reason=str(error))

    async def publish(self, new: NewRequest, reply_to: ReplyTo, *, asked_at: datetime) -> None:
        """Send the request on its way. Raises Unavailable where the queue does not confirm it."""
        try:
            await self._publishing.run(
                lambda: chain.enqueue(new, reply_to=reply_to, asked_at=asked_at)
            )
        except BrokerUnavailable as error:
            raise Unavailable(str(error)) from None
        except NeverBegun:
            raise Unavailable("its turn did not come") from None
        except Unfinished:
            raise Unavailable("the queue did not answer in time") from None

    def close(self) -> None:
        """Let go of everything."""
        for lane in (self._reading, self._reporting, self._publishing, self._marks):
            lane.close()
        self._database.close()
        self._patient.close()


def _keep(conn: Connection, one: Asking, *, look_in: timedelta) -> None:
    ago = timedelta(seconds=time.monotonic() - one.asked_at)
    sent.keep(conn, one.new, one.reply_to, one.told, look_in=look_in, ago=ago)
