"""Operators hear of a model's retirement before it comes."""

from datetime import date, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from workers import retirement
from workers.providers import Offer
from workers.providers.sandbox import SandboxProvider
from workers.settings import SandboxOutcome

ENDS = date(2027, 3, 1)


class Ageing(SandboxProvider):
    """One whose models go, two of them on one day."""

    offers = (
        Offer("sandbox", "Sandbox", retires_on=ENDS),
        Offer("finer", "Fine Sandbox", retires_on=ENDS + timedelta(days=90)),
        Offer("older", "Old Sandbox", retires_on=ENDS),
        Offer("lasting", "Sandbox for ever"),
    )


def made(kind: type[SandboxProvider]) -> SandboxProvider:
    return kind(Path("videos"), seconds=0, outcome=SandboxOutcome.COMPLETED)


@pytest.mark.parametrize(
    ("days", "when"),
    [(60, "in 60 days"), (1, "in 1 day")],
)
def test_a_warning_from_sixty_days_before(days: int, when: str) -> None:
    found = retirement.warning(made(Ageing), ENDS - timedelta(days=days))
    assert found == f"To be retired on 2027-03-01 or later ({when}): sandbox, older."


@pytest.mark.parametrize("days", [0, 5])
def test_what_may_be_gone_is_not_to_be_retired_some_day(days: int) -> None:
    found = retirement.warning(made(Ageing), ENDS + timedelta(days=days))
    assert found == "May be switched off any day (not before 2027-03-01): sandbox, older."


def test_one_model_is_warned_of_alone() -> None:
    day = ENDS - timedelta(days=1)
    found = retirement.warning(made(Ageing), day, of="older")
    assert found == "To be retired on 2027-03-01 or later (in 1 day): older."
    assert retirement.warning(made(Ageing), day, of="lasting") is None


def test_another_model_is_advised_only_where_one_stays() -> None:
    class Leaving(SandboxProvider):
        offers = Ageing.offers[:3]

    assert retirement.remedy(made(Leaving), ENDS) == retirement.ANOTHER
    assert retirement.remedy(made(Leaving), ENDS + timedelta(days=80)) == retirement.NONE_STAYS
    assert retirement.remedy(made(Ageing), ENDS + timedelta(days=80)) == retirement.ANOTHER


def test_every_model_on_offer_is_warned_of_each_day_in_a_sentence() -> None:
    found = retirement.warning(made(Ageing), ENDS + timedelta(days=80))
    assert found == (
        "May be switched off any day (not before 2027-03-01): sandbox, older. "
        "To be retired on 2027-05-30 or later (in 10 days): finer."
    )


def test_no_warning_earlier_nor_where_no_end_is_announced() -> None:
    assert retirement.warning(made(Ageing), ENDS - timedelta(days=61)) is None
    assert retirement.warning(made(SandboxProvider)) is None


def test_the_log_is_warned_once_at_the_start() -> None:
    class Gone(SandboxProvider):
        offers = (Offer("sandbox", "Sandbox", retires_on=date(2020, 1, 1)),)

    with capture_logs() as lines:
        retirement.warn(made(SandboxProvider))
        retirement.warn(made(Gone))
    [line] = lines
    assert (line["event"], line["log_level"]) == ("model_retires", "warning")
    assert line["reason"] == "May be switched off any day (not before 2020-01-01): sandbox."
    assert line["remedy"] == retirement.NONE_STAYS
