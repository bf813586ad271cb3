"""Models come and go: a warning to operators before one of those on offer is gone."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final

import structlog

from workers.providers import Provider

log = structlog.get_logger(__name__)

NOTICE: Final = timedelta(days=60)
"""How long before its retirement a model is warned of."""
REMEDY: Final = "Name another model, with VEO_MODEL say, before requests begin to fail"


def warning(provider: Provider, today: date | None = None) -> str | None:
    """A sentence for each day on which models on offer retire soon, or have retired."""
    day = datetime.now(UTC).date() if today is None else today
    ending: dict[date, list[str]] = {}
    for each in provider.offers:
        if each.retires_on is not None and each.retires_on - day <= NOTICE:
            ending.setdefault(each.retires_on, []).append(each.name)
    return " ".join(_sentence(names, on, day) for on, names in sorted(ending.items())) or None


def warn(provider: Provider) -> None:
    """Warn in the log, at the start of a process."""
    if sentences := warning(provider):
        log.warning("model_retires", reason=sentences, remedy=REMEDY)


def _sentence(names: Sequence[str], on: date, today: date) -> str:
    left = (on - today).days
    when = f"in {left} {'day' if left == 1 else 'days'}" if left > 0 else "any day now"
    return f"To be retired on {on.isoformat()} or later ({when}): {', '.join(names)}."
