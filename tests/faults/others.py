"""What befalls Vertex AI, Cloud Storage and Discord: they hang, reset, refuse, and are slow.

How the bot stands a Discord that does so to its first answers is a matter of its own tests.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from tests.e2e.delivery import EVERY_TIME
from tests.e2e.discord import When
from tests.e2e.discord.rest.faults import Fault as DiscordFault
from tests.e2e.discord.rest.faults import Faults
from tests.e2e.google.traffic import Fault as GoogleFault
from tests.e2e.google.traffic import Traffic
from tests.faults.stage import Stage
from tests.workers.waiting import PATIENCE, until

LASTS: Final = 8.0
"""Seconds, in which every call meets it; at least."""
FELT: Final = 3
"""Calls that meet it before it ends."""
SLOW: Final = 1.2
"""Seconds that a slow one takes for an answer, at most: less than anybody waits."""

ALL: Final = "*"
STARTS: Final = "POST *:predictLongRunning"
ANSWERS: Final = ("PATCH /webhooks/*", "POST /channels/*")
"""What an answer is written with."""


def _last(faults: Sequence[GoogleFault | DiscordFault]) -> None:
    """Let it be felt, by a few calls at least where there are any."""
    time.sleep(LASTS)
    with suppress(AssertionError):
        until(
            lambda: sum(each.reached for each in faults) >= FELT,
            what="it is felt",
            within=PATIENCE - LASTS,
        )


def _google(
    traffics: Callable[[Stage], Traffic], act: Callable[[Traffic], GoogleFault], stage: Stage
) -> None:
    _last([act(traffics(stage))])
    traffics(stage).release_all()


def _slow_google(traffics: Callable[[Stage], Traffic], stage: Stage) -> None:
    for _ in range(round(LASTS / SLOW)):
        traffics(stage).hang(ALL, times=EVERY_TIME)
        time.sleep(SLOW)
        traffics(stage).release_all()


def _discord(act: Callable[[Faults, str], DiscordFault], stage: Stage) -> None:
    _last([act(stage.discord.faults, route) for route in ANSWERS])
    stage.discord.faults.release_all()


def _slow_discord(stage: Stage) -> None:
    for _ in range(round(LASTS / SLOW)):
        for route in ANSWERS:
            stage.discord.faults.hang(route, times=EVERY_TIME)
        time.sleep(SLOW)
        stage.discord.faults.release_all()


_vertex = partial(_google, lambda stage: stage.google.vertex.traffic)
_storage = partial(_google, lambda stage: stage.google.storage.traffic)

#: What hangs is done all the same when it is released, and nobody waits for it any more. What
#: comes afterwards hides from the client that it was done.
OTHERS: Final[Mapping[str, Callable[[Stage], None]]] = {
    "Vertex AI hangs": partial(_vertex, lambda it: it.hang(ALL, times=EVERY_TIME)),
    "Vertex AI resets": partial(_vertex, lambda it: it.cut(ALL, times=EVERY_TIME)),
    "Vertex AI resets, begun": partial(
        _vertex, lambda it: it.cut(STARTS, times=EVERY_TIME, is_after=True)
    ),
    "Vertex AI 503": partial(_vertex, lambda it: it.refuse(ALL, 503, times=EVERY_TIME)),
    "Vertex AI 500, begun": partial(
        _vertex, lambda it: it.refuse(STARTS, 500, times=EVERY_TIME, is_after=True)
    ),
    "Vertex AI 429": partial(_vertex, lambda it: it.refuse(ALL, 429, times=EVERY_TIME)),
    "Vertex AI slow": partial(_slow_google, lambda stage: stage.google.vertex.traffic),
    "Storage hangs": partial(_storage, lambda it: it.hang(ALL, times=EVERY_TIME)),
    "Storage resets": partial(_storage, lambda it: it.cut(ALL, times=EVERY_TIME)),
    "Storage resets, done": partial(
        _storage, lambda it: it.cut(ALL, times=EVERY_TIME, is_after=True)
    ),
    "Storage 503": partial(_storage, lambda it: it.refuse(ALL, 503, times=EVERY_TIME)),
    "Storage slow": partial(_slow_google, lambda stage: stage.google.storage.traffic),
    "Discord hangs": partial(_discord, lambda it, route: it.hang(route, times=EVERY_TIME)),
    "Discord resets": partial(_discord, lambda it, route: it.cut(route, times=EVERY_TIME)),
    "Discord resets, done": partial(
        _discord, lambda it, route: it.cut(route, times=EVERY_TIME, when=When.APPLIED)
    ),
    "Discord 500": partial(_discord, lambda it, route: it.refuse(route, 500, times=EVERY_TIME)),
    "Discord 429": partial(
        _discord, lambda it, route: it.rate_limit(route, retry_after=1.5, times=EVERY_TIME)
    ),
    "Discord slow": _slow_discord,
}
