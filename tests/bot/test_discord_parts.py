"""Small parts of the bot on Discord, by themselves."""

import asyncio
import threading
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bot import embeds
from bot.discord import sentences
from bot.discord.desk import Declined
from bot.discord.lanes import Lane, NeverBegun, Unfinished
from bot.discord.library import Asked, nextcord
from bot.discord.offering import offering
from bot.discord.pages import Page
from db.records import NewRequest
from db.states import Status
from db.validation import InvalidRequest
from workers.providers import Offer
from workers.providers.sandbox import SandboxProvider
from workers.settings import SandboxOutcome


def test_who_waits_for_a_lane_in_vain_knows_whether_it_was_begun() -> None:
    gate = threading.Event()
    lane = Lane("test", threads=1, patience=0.2)

    async def ask() -> list[object]:
        return await asyncio.gather(
            *(lane.run(work) for work in (gate.wait, lambda: 1)), return_exceptions=True
        )

    begun, waiting = asyncio.run(ask())
    gate.set()
    assert isinstance(begun, Unfinished)
    assert isinstance(waiting, NeverBegun)
    assert asyncio.run(lane.run(lambda: 2)) == 2
    lane.close()


def test_a_page_survives_its_button() -> None:
    page = Page(3, "completed", "2026-02-28", "2026-03-01", is_archived=True)
    custom_id = page.custom_id("Older")
    assert len(custom_id) <= 100
    assert Page.from_custom_id(custom_id) == page
    assert page.filtered_by == "completed, from 2026-02-28, until 2026-03-01, archived"
    assert (page.newer.number, page.older.number, Page().newer.number) == (2, 4, 0)


def test_the_last_day_of_a_filter_is_meant_to_its_end() -> None:
    wanted = Page(0, "failed", "2026-02-28", "2026-02-28").wanted
    assert wanted.statuses == [Status.FAILED]
    assert wanted.since == datetime(2026, 2, 28, tzinfo=UTC)
    assert wanted.until == datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize("since", ["tomorrow", "2026-02-30", "9999-12-31"])
def test_a_day_that_is_none(since: str) -> None:
    with pytest.raises(Declined, match="A day must be written"):
        _ = Page(0, "any", since).wanted
    with pytest.raises(Declined, match="must not be after"):
        _ = Page(0, "any", "2026-03-01", "2026-02-01").wanted


def test_a_quoted_prompt_has_no_power() -> None:
    said = embeds.quoted("**@everyone**\n`x` \u202e<@1>", 80)
    assert said.startswith("\u2068")
    assert said.endswith("\u2069")
    assert "\n" not in said
    assert "\\*\\*\\@everyone\\*\\*" in said
    assert embeds.quoted("x" * 90, 80).count("x") == 79


class Choosy(SandboxProvider):
    """Has two models, of which one can be told more."""

    offers = (
        Offer("sandbox", "Sandbox", has_negative_prompt=True, has_seed=True),
        Offer("plain", "Plain Sandbox"),
    )

    def check(self, request: NewRequest) -> None:
        if request.model == "plain" and not request.generate_audio:
            raise InvalidRequest("The plain one is loud.")

    def price(self, request: NewRequest) -> Decimal:
        dear = request.model != "plain" and request.resolution == "1080p"
        return Decimal("0.40" if dear else "0.1") * request.duration_seconds


def offered(kind: type[SandboxProvider]) -> dict[str, dict[str, Any]]:
    """The options that Discord is told of, but for those that every provider has."""

    async def made(_asked: Asked, _prompt: str, **_besides: Any) -> None:
        raise AssertionError

    provider = kind(Path("videos"), seconds=0, outcome=SandboxOutcome.COMPLETED)
    command: Any = nextcord.slash_command(name="veo")(offering(provider)(made))
    command.from_callback(command.callback)
    _, *besides = command.get_payload(None)["options"]
    return {each["name"]: each for each in besides}


def test_dc1_options_are_those_of_the_provider() -> None:
    assert not offered(SandboxProvider)
    found = offered(Choosy)
    assert [*found] == ["model", "negative_prompt", "seed"]
    assert not any(each.get("required") for each in found.values())
    assert found["model"]["description"] == "Who makes it (Sandbox)"
    assert {each["name"]: each["value"] for each in found["model"]["choices"]} == {
        "Sandbox, from $0.10 a second": "sandbox",
        "Plain Sandbox, from $0.10 a second": "plain",
    }
    assert (found["negative_prompt"]["min_length"], found["negative_prompt"]["max_length"]) == (
        1,
        600,
    )
    assert (found["seed"]["min_value"], found["seed"]["max_value"]) == (0, 4_294_967_295)


def test_lists_of_names() -> None:
    assert sentences.listed(["a"]) == "a"
    assert sentences.listed(["a", "b", "c"]) == "a, b or c"
