"""What ``/veo`` takes beside the usual, as far as this bot's provider can be told of it (DC1).

Discord is told the options of a command once, when it is registered.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from inspect import Parameter
from typing import Any, Final
from uuid import UUID

from bot import words
from bot.discord.library import nextcord
from db.records import NewRequest
from db.validation import (
    DURATIONS,
    NEGATIVE_PROMPT_LENGTH,
    RESOLUTIONS,
    SEEDS,
    InvalidRequest,
)
from workers.providers import Offer, Provider

Callback = Callable[..., Awaitable[None]]

LONGEST_CHOICE: Final = 100
"""Characters; Discord's own limit."""
_ANY: Final = NewRequest(UUID(int=0), "dm", "dm", "dm", "whatever", duration_seconds=DURATIONS[-1])


def offering(provider: Provider) -> Callable[[Callback], Callback]:
    """Put the options of the provider in the place of the callback's ``**besides``.

    nextcord reads a command's options out of the signature.
    """

    def change(callback: Callback) -> Callback:
        before = inspect.signature(callback)
        usual = [
            each for each in before.parameters.values() if each.kind is not Parameter.VAR_KEYWORD
        ]
        changed: Any = callback
        changed.__signature__ = before.replace(parameters=[*usual, *_options(provider)])
        return callback

    return change


def _options(provider: Provider) -> Iterator[Parameter]:
    if len(provider.offers) > 1:
        [usual] = (each.title for each in provider.offers if each.name == provider.model)
        choices = {_choice(provider, each): each.name for each in provider.offers}
        yield _option("model", str, f"Who makes it ({usual})", choices=choices)
    if any(each.has_negative_prompt for each in provider.offers):
        yield _option(
            "negative_prompt",
            str,
            "What is not to be seen or heard",
            min_length=NEGATIVE_PROMPT_LENGTH[0],
            max_length=NEGATIVE_PROMPT_LENGTH[-1],
        )
    if any(each.has_seed for each in provider.offers):
        yield _option(
            "seed",
            int,
            "The same number and words give nearly the same video",
            min_value=SEEDS[0],
            max_value=SEEDS[-1],
        )


def _option(name: str, of: type, description: str, **rules: Any) -> Parameter:
    option: Any = nextcord.SlashOption(
        description=description, required=False, default=None, **rules
    )
    return Parameter(name, Parameter.KEYWORD_ONLY, default=option, annotation=of)


def _choice(provider: Provider, offer: Offer) -> str:
    prices = [*_prices(provider, offer)]
    price = f", from {words.dollars(min(prices))} a second" if prices else ""
    return f"{offer.title}{price}"[:LONGEST_CHOICE]


def _prices(provider: Provider, offer: Offer) -> Iterator[Decimal]:
    """Dollars a second, for everything that changes them."""
    for resolution in RESOLUTIONS:
        for audio in (True, False):
            new = replace(_ANY, model=offer.name, resolution=resolution, generate_audio=audio)
            try:
                provider.check(new)
            except InvalidRequest:
                continue
            yield provider.price(new) / new.duration_seconds
