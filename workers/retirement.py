"""Models come and go: a warning to operators before one of those on offer is gone."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final

import structlog

from workers.providers import Offer, Provider

log = structlog.get_logger(__name__)

NOTICE: Final = timedelta(days=60)
"""How long before its retirement a model is warned of."""
ANOTHER: Final = "Name another model, with VEO_MODEL say, before requests begin to fail"
NONE_STAYS: Final = "No model on offer lasts longer: look for a release that offers newer ones"


def warning(provider: Provider, today: date | None = None, *, of: str | None = None) -> str | None:
    """A sentence for each day on which models on offer retire soon, or may have retired.

    `of` is the one model that is asked about; without it, it is all.
    """
    day = datetime.now(UTC).date() if today is None else today
    ending: dict[date, list[str]] = {}
    for each in provider.offers:
        if each.retires_on is not None and _is_near(each, day) and of in (None, each.name):
            ending.setdefault(each.retires_on, []).append(each.name)
    return " ".join(_sentence(names, on, day) for on, names in sorted(ending.items())) or None


def remedy(provider: Provider, today: date | None = None) -> str:
    """What there is to be done about a warning."""
    day = datetime.now(UTC).date() if today is None else today
    return NONE_STAYS if all(_is_near(each, day) for each in provider.offers) else ANOTHER


def warn(provider: Provider) -> None:
    """Warn in the log, at the start of a process."""
    if sentences := warning(provider):
        log.warning("model_retires", reason=sentences, remedy=remedy(provider))


def _is_near(offer: Offer, today: date) -> bool:
    return offer.retires_on is not None and offer.retires_on - today <= NOTICE


def _sentence(names: Sequence[str], on: date, today: date) -> str:
    left = (on - today).days
    if left <= 0:
        # The day is the first on which it may be, not the one on which it is.
        return f"May be switched off any day (not before {on.isoformat()}): {', '.join(names)}."
    when = f"in {left} {'day' if left == 1 else 'days'}"
    return f"To be retired on {on.isoformat()} or later ({when}): {', '.join(names)}."
