"""The models as data: every row is complete, and what a model cannot do is refused (RL7)."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from uuid import UUID

import pytest

from db.records import NewRequest
from db.validation import ASPECT_RATIOS, DURATIONS, RESOLUTIONS, InvalidRequest
from workers.providers.veo import models
from workers.providers.veo.models import MODELS, RETIRED, Model
from workers.settings import WorkerSettings

NEW = NewRequest(UUID(int=1), "u", "g", "c", "a red fox in the snow")

PRICES = {
    "veo-3.1-generate-001": ["0.40", "0.40", "0.20", "0.20"],
    "veo-3.1-fast-generate-001": ["0.10", "0.12", "0.08", "0.10"],
    "veo-3.1-lite-generate-001": ["0.05", "0.08", "0.03", "0.05"],
}
"""Dollars a second: with sound at 720p and 1080p, silent at both."""


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_complete(name: str) -> None:
    model = MODELS[name]
    assert model.name == name
    assert model.title
    assert set(model.durations) <= set(DURATIONS)
    assert set(model.aspect_ratios) <= set(ASPECT_RATIOS)
    assert set(model.resolutions) <= set(RESOLUTIONS)
    assert model.durations
    assert model.aspect_ratios
    assert model.resolutions
    # Whatever may be asked for has a price, and nothing else.
    assert set(model.prices) == {(each, sound) for each in model.resolutions for sound in (0, 1)}
    assert all(each > 0 for each in model.prices.values())
    assert model.retires_on > max(RETIRED.values())
    assert name not in RETIRED


def test_titles_tell_models_apart() -> None:
    assert len({model.title for model in MODELS.values()}) == len(MODELS)


def test_the_default_is_that_of_the_settings() -> None:
    assert WorkerSettings.model_fields["veo_model"].default == models.DEFAULT
    assert models.DEFAULT in MODELS


@pytest.mark.parametrize("name", PRICES)
def test_rl7_prices_are_googles(name: str) -> None:
    kinds = [("720p", True), ("1080p", True), ("720p", False), ("1080p", False)]
    assert PRICES.keys() == MODELS.keys()
    for (resolution, sound), dollars in zip(kinds, PRICES[name], strict=True):
        asked = replace(
            NEW,
            model=name,
            duration_seconds=8,
            resolution=resolution,
            generate_audio=sound,
        )
        assert models.price(asked) == Decimal(dollars) * 8


def test_a_request_that_names_no_model_is_of_the_default_one() -> None:
    assert models.price(NEW) == Decimal("0.40")
    assert models.price(NEW, default="veo-3.1-generate-001") == Decimal("1.60")


def test_what_every_model_can_do_is_taken() -> None:
    for model in MODELS.values():
        models.check(replace(NEW, model=model.name, negative_prompt="rain", seed=2**32 - 1))


def test_what_a_model_cannot_do_is_refused_a_sentence_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    poor = Model(
        "poor",
        "Poor",
        (8,),
        ("16:9",),
        ("720p",),
        has_negative_prompt=False,
        has_seed=False,
        prices={},
        retires_on=date(2027, 1, 1),
    )
    monkeypatch.setattr(models, "MODELS", {"poor": poor})
    asked = replace(
        NEW,
        model="poor",
        aspect_ratio="9:16",
        resolution="1080p",
        negative_prompt="rain",
        seed=1,
    )
    with pytest.raises(InvalidRequest) as refused:
        models.check(asked)
    assert str(refused.value) == (
        "Poor makes videos 8 seconds long, not 4 seconds long. Poor makes videos 16:9, not 9:16. "
        "Poor makes videos 720p, not 1080p. Poor takes no negative prompt. Poor takes no seed."
    )


@pytest.mark.parametrize("name", RETIRED)
def test_a_retired_model_is_named_as_such(name: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        models.check(replace(NEW, model=name))
    assert str(refused.value) == (
        f"Google retired the model {name} on 2026-06-30; there are veo-3.1-fast-generate-001, "
        "veo-3.1-generate-001 and veo-3.1-lite-generate-001."
    )


def test_an_unknown_model_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidRequest, match=r"^There is no model sora-2; there are veo-3\.1-fast"):
        models.check(replace(NEW, model="sora-2"))


@pytest.mark.parametrize(
    ("today", "is_warned_of"),
    [
        (date(2026, 9, 17), False),
        (date(2026, 9, 18), True),
        (date(2026, 11, 17), True),
        (date(2027, 3, 1), True),
    ],
)
def test_a_retirement_is_warned_of_from_60_days_before(today: date, is_warned_of: bool) -> None:
    assert bool(models.retiring(today)) is is_warned_of


def test_the_warning_says_when_and_what_to_do() -> None:
    model = MODELS[models.DEFAULT]
    assert models.retirement(model, date(2026, 11, 7)) == (
        "Google announces the retirement of veo-3.1-fast-generate-001 for 2026-11-17 or later, "
        "in 10 days; VEO_MODEL names another."
    )
    assert "in 1 day;" in models.retirement(model, date(2026, 11, 16))
    assert "so any day now;" in models.retirement(model, date(2026, 11, 21))
