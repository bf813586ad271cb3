"""What Google's models can do, what they cost and how long they last: data.

Abilities are those of the model pages of Veo 3.1 on Vertex AI, prices those of its price list,
both as of 2026. The pages of the Gemini API tie 1080p to 8 seconds; those of Vertex AI, which is
what is called here, do not, so nothing is refused for that.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

from db.records import NewRequest
from db.validation import InvalidRequest

DEFAULT: Final = "veo-3.1-fast-generate-001"
"""The model of requests that name none, unless ``VEO_MODEL`` names another."""
WARN_DAYS: Final = 60
"""Days before a retirement from which it is warned of."""


@dataclass(frozen=True, slots=True)
class Model:
    """One model, as a request may ask for it."""

    name: str
    #: What a person reads in a list of choices.
    title: str
    #: Seconds.
    durations: tuple[int, ...]
    aspect_ratios: tuple[str, ...]
    resolutions: tuple[str, ...]
    has_negative_prompt: bool
    has_seed: bool
    #: Dollars a second, by resolution and by whether there is sound.
    prices: Mapping[tuple[str, bool], Decimal]
    #: The first day on which Google may switch it off; it names no later one.
    retires_on: date


def _prices(*, sound: tuple[str, str], silent: tuple[str, str]) -> dict[tuple[str, bool], Decimal]:
    """Dollars a second at 720p and at 1080p."""
    return {
        (resolution, has_audio): Decimal(dollars)
        for has_audio, row in ((True, sound), (False, silent))
        for resolution, dollars in zip(("720p", "1080p"), row, strict=True)
    }


def _veo_3_1(name: str, title: str, prices: Mapping[tuple[str, bool], Decimal]) -> Model:
    return Model(
        name,
        title,
        durations=(4, 6, 8),
        aspect_ratios=("16:9", "9:16"),
        resolutions=("720p", "1080p"),
        has_negative_prompt=True,
        has_seed=True,
        prices=prices,
        # Announced as "not before".
        retires_on=date(2026, 11, 17),
    )


_ALL: Final = (
    _veo_3_1(
        "veo-3.1-fast-generate-001",
        "Veo 3.1 Fast",
        _prices(sound=("0.10", "0.12"), silent=("0.08", "0.10")),
    ),
    _veo_3_1(
        "veo-3.1-generate-001",
        "Veo 3.1",
        _prices(sound=("0.40", "0.40"), silent=("0.20", "0.20")),
    ),
    _veo_3_1(
        "veo-3.1-lite-generate-001",
        "Veo 3.1 Lite",
        _prices(sound=("0.05", "0.08"), silent=("0.03", "0.05")),
    ),
)

MODELS: Final[Mapping[str, Model]] = {model.name: model for model in _ALL}

RETIRED: Final[Mapping[str, date]] = dict.fromkeys(
    (
        "veo-2.0-generate-001",
        "veo-3.0-generate-001",
        "veo-3.0-fast-generate-001",
    ),
    date(2026, 6, 30),
)
"""Models that Google has switched off, and since when."""


def model(name: str) -> Model:
    """The model of that name. Raises InvalidRequest with a sentence that names those there are."""
    if found := MODELS.get(name):
        return found
    there_are = _listed(MODELS)
    if since := RETIRED.get(name):
        raise InvalidRequest(
            f"Google retired the model {name} on {since.isoformat()}; there are {there_are}."
        )
    shown = name.encode("unicode_escape").decode()[:40]
    raise InvalidRequest(f"There is no model {shown}; there are {there_are}.")


def check(request: NewRequest, *, default: str = DEFAULT) -> None:
    """Raise InvalidRequest with a sentence for each thing that the model cannot do."""
    asked = model(request.model or default)
    problems = [
        f"{asked.title} makes videos {_listed(choices, 'or')}{unit}, not {value}{unit}."
        for value, choices, unit in (
            (request.duration_seconds, asked.durations, " seconds long"),
            (request.aspect_ratio, asked.aspect_ratios, ""),
            (request.resolution, asked.resolutions, ""),
        )
        if value not in choices
    ]
    if request.negative_prompt and not asked.has_negative_prompt:
        problems.append(f"{asked.title} takes no negative prompt.")
    if request.seed is not None and not asked.has_seed:
        problems.append(f"{asked.title} takes no seed.")
    if problems:
        raise InvalidRequest(" ".join(problems))


def price(request: NewRequest, *, default: str = DEFAULT) -> Decimal:
    """Dollars for the whole video, of a request that has been checked."""
    asked = model(request.model or default)
    per_second = asked.prices[request.resolution, request.generate_audio]
    return per_second * request.duration_seconds


def retiring(today: date, days: int = WARN_DAYS) -> list[Model]:
    """The models that Google may switch off within so many days, or any day by now."""
    return [each for each in _ALL if each.retires_on - timedelta(days=days) <= today]


def retirement(asked: Model, today: date) -> str:
    """When it goes, as a sentence for operators."""
    left = (asked.retires_on - today).days
    when = f"in {left} {'day' if left == 1 else 'days'}" if left > 0 else "so any day now"
    return (
        f"Google announces the retirement of {asked.name} for "
        f"{asked.retires_on.isoformat()} or later, {when}; VEO_MODEL names another."
    )


def _listed(names: Iterable[object], last: str = "and") -> str:
    *others, final = [str(name) for name in names]
    return f"{', '.join(others)} {last} {final}" if others else final
