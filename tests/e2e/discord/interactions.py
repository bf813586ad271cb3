"""What a person did, and all that the application has answered."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from tests.e2e.discord.errors import Json, refusal
from tests.e2e.discord.model import Attachment, Channel, Message, User, Version
from tests.e2e.discord.world import World
from tests.workers.waiting import PATIENCE

FIRST_ANSWER: Final = 3.0
TOKEN_LIFE: Final = 15 * 60.0
"""Seconds (Interactions, "Receiving and Responding": "Followup Messages")."""


class Kind(IntEnum):
    """What a person did."""

    COMMAND = 2
    COMPONENT = 3
    AUTOCOMPLETE = 4
    MODAL = 5


class Callback(IntEnum):
    """How the application may answer first."""

    MESSAGE = 4
    DEFERRED_MESSAGE = 5
    DEFERRED_UPDATE = 6
    UPDATE = 7
    CHOICES = 8
    MODAL = 9


@dataclass(eq=False)
class Interaction:
    """One thing that a person did. It fills as the application answers; look at it, and wait."""

    world: World
    id: int
    token: str
    kind: Kind
    user: User
    channel: Channel
    data: Json
    source: Message | None = None
    """The message whose component was used."""
    parent: "Interaction | None" = None
    """What opened the modal that was submitted."""
    sent: float = field(default_factory=time.monotonic)
    created: float = 0.0
    """By Discord's clock."""
    callback: Callback | None = None
    answered: float | None = None
    """When the first answer came; monotonic, as `sent`."""
    is_ephemeral: bool = False
    modal: Json | None = None
    choices: list[Json] | None = None
    original: Message | None = None
    """The message `@original`: the answer, or the message that was updated."""
    followups: list[Message] = field(default_factory=list)

    @property
    def latency(self) -> float:
        """Seconds from the click to the first answer."""
        assert self.answered is not None, f"{self} has no answer yet"
        return self.answered - self.sent

    @property
    def is_deferred(self) -> bool:
        """Whether the first answer only promised one."""
        return self.callback in (Callback.DEFERRED_MESSAGE, Callback.DEFERRED_UPDATE)

    @property
    def failed(self) -> bool:
        """Whether the person reads "The application did not respond"."""
        return self.callback is None and self.age > FIRST_ANSWER

    @property
    def age(self) -> float:
        """Seconds by Discord's clock."""
        return self.world.clock.now() - self.created

    @property
    def message(self) -> Message:
        """The answer as a message."""
        assert self.original is not None, f"{self} has no message yet"
        return self.original

    @property
    def content(self) -> str:
        """The text of the answer; empty as long as there is none."""
        return self.original.content if self.original else ""

    @property
    def embeds(self) -> tuple[Json, ...]:
        """The embeds of the answer."""
        return self.original.embeds if self.original else ()

    @property
    def components(self) -> tuple[Json, ...]:
        """The rows of the answer."""
        return self.original.components if self.original else ()

    @property
    def attachments(self) -> tuple[Attachment, ...]:
        """The files of the answer."""
        return self.original.attachments if self.original else ()

    @property
    def history(self) -> list[Version]:
        """Everything the answer ever said, the promise aside."""
        versions = self.original.versions if self.original else []
        return [version for version in versions if not version.is_loading]

    @property
    def messages(self) -> list[Message]:
        """All messages that came as answers, deleted ones too."""
        own = self.original if self.original is not self.source else None
        return [*([own] if own else []), *self.followups]

    def wait_for(
        self, look: Callable[["Interaction"], object], what: str, *, within: float = PATIENCE
    ) -> "Interaction":
        """Itself, once it is as wanted."""
        self.world.wait_for(lambda: bool(look(self)), f"{self}: {what}", within=within)
        return self

    def wait_until_acknowledged(self, *, within: float = FIRST_ANSWER) -> "Interaction":
        """Itself, once there is a first answer."""
        return self.wait_for(lambda _: self.callback is not None, "a first answer", within=within)

    def wait_until_answered(self, *, within: float = PATIENCE) -> "Interaction":
        """Itself, once it shows something: a message that is there, a modal, or choices."""

        def is_there(_: "Interaction") -> bool:
            shown = self.modal is not None or self.choices is not None
            return shown or bool(self.history and self.callback is not Callback.DEFERRED_UPDATE)

        return self.wait_for(is_there, "an answer", within=within)

    def wait_for_text(self, text: str, *, within: float = PATIENCE) -> "Interaction":
        """Itself, once its answer has this in its text or embeds."""
        return self.wait_for(
            lambda _: text in self.content or text in str(self.embeds), text, within=within
        )

    def __str__(self) -> str:
        said = self.original.content[:100] if self.original else None
        name = self.data.get("name") or self.data.get("custom_id")
        return f"<{self.kind.name} {name} of {self.user.name}: {self.callback!r}, {said!r}>"


ALLOWED: Final[dict[Kind, Sequence[Callback]]] = {
    Kind.COMMAND: (Callback.MESSAGE, Callback.DEFERRED_MESSAGE, Callback.MODAL),
    Kind.COMPONENT: (
        Callback.MESSAGE,
        Callback.DEFERRED_MESSAGE,
        Callback.DEFERRED_UPDATE,
        Callback.UPDATE,
        Callback.MODAL,
    ),
    Kind.AUTOCOMPLETE: (Callback.CHOICES,),
    Kind.MODAL: (
        Callback.MESSAGE,
        Callback.DEFERRED_MESSAGE,
        Callback.DEFERRED_UPDATE,
        Callback.UPDATE,
    ),
}
"""Which first answers fit what a person did; an update needs a message to update."""


def to_acknowledge(world: World, interaction_id: str, token: str) -> Interaction:
    """The interaction that may be answered for the first time."""
    number = int(interaction_id) if interaction_id.isdigit() else 0
    found = world.interactions.get(number)
    if found is None or found.token != token:
        raise refusal(10062)
    if found.callback is not None:
        raise refusal(40060)
    if found.age > FIRST_ANSWER:
        raise refusal(10062)
    return found


def to_follow_up(world: World, application_id: str, token: str) -> Interaction:
    """The interaction whose token this is: acknowledged, and not too old."""
    found = world.by_token.get(token)
    if found is None or application_id != str(world.application_id):
        raise refusal(10015 if found or application_id.isdigit() else 50027)
    if found.callback is None:
        raise refusal(10015)
    if found.age > TOKEN_LIFE:
        raise refusal(world.expired_token_code)
    return found
