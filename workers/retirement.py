"""Models come and go: a warning to operators before the one that is in use is gone."""

from datetime import UTC, date, datetime, timedelta
from typing import Final

import structlog

from workers.providers import Provider

log = structlog.get_logger(__name__)

NOTICE: Final = timedelta(days=60)
"""How long before its retirement a model is warned of."""
REMEDY: Final = "Name another model, with VEO_MODEL say, before requests begin to fail"


def warning(provider: Provider, today: date | None = None) -> str | None:
    """A sentence if the model of requests that name none retires soon, or has retired."""
    day = datetime.now(UTC).date() if today is None else today
    [ends] = {each.retires_on for each in provider.offers if each.name == provider.model}
    if ends is None or ends - day > NOTICE:
        return None
    left = (ends - day).days
    when = f"in {left} {'day' if left == 1 else 'days'}" if left > 0 else "any day now"
    return f"{provider.model} is to be retired on {ends.isoformat()} or later: {when}."


def warn(provider: Provider) -> None:
    """Warn in the log, at the start of a process."""
    if sentence := warning(provider):
        log.warning("model_retires", model=provider.model, reason=sentence, remedy=REMEDY)
