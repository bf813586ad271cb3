"""First answers (Interactions, "Receiving and Responding": "Responding to an Interaction")."""

import time

from tests.e2e.discord import payloads, writing
from tests.e2e.discord.errors import Json
from tests.e2e.discord.interactions import ALLOWED, Callback, Interaction, Kind, to_acknowledge
from tests.e2e.discord.model import EPHEMERAL, Message
from tests.e2e.discord.rest.routing import Call, Reply, Routes
from tests.e2e.discord.rules.checks import enforce, form, one_of
from tests.e2e.discord.rules.commands import CHOICES
from tests.e2e.discord.rules.components import MODAL
from tests.e2e.discord.world import World
from tests.e2e.discord.writing import Draft

routes = Routes()


@routes("POST", "/interactions/{interaction}/{token}/callback", needs_token=False)
def callback(call: Call) -> Reply | None:
    """The first answer; there is none after it."""
    found = to_acknowledge(call.world, call["interaction"], call["token"])
    allowed = set(ALLOWED[found.kind])
    if found.source is None:
        allowed -= {Callback.DEFERRED_UPDATE, Callback.UPDATE}
    enforce(form(required=["type"], type=one_of({int(each) for each in allowed})), call.data)
    kind = Callback(call.data["type"])
    draft = Draft(call.data.get("data") or {}, call.body.uploads)
    _ACTS[kind](call.world, found, draft)
    found.callback, found.answered = kind, time.monotonic()
    if call.query.get("with_response", "").lower() != "true":
        return None
    return Reply(_told(call.world, found))


def _message(world: World, found: Interaction, draft: Draft) -> None:
    """Type 4: a message at once."""
    writing.check(world, draft, "data")
    found.is_ephemeral = bool(draft.flags & EPHEMERAL)
    found.original = _write(world, found, draft, is_loading=False)


def _deferred_message(world: World, found: Interaction, draft: Draft) -> None:
    """Type 5: "thinking", seen by whom its flag says, as all that follows."""
    found.is_ephemeral = bool(draft.flags & EPHEMERAL)
    found.original = _write(world, found, Draft({}), is_loading=True)


def _deferred_update(_world: World, found: Interaction, _draft: Draft) -> None:
    """Type 6: nothing to be seen."""
    found.original = found.source


def _update(world: World, found: Interaction, draft: Draft) -> None:
    """Type 7: the message whose component was used changes."""
    writing.check(world, draft, "data")
    assert found.source is not None
    found.original = writing.edit(world, found.source, draft)


def _choices(_world: World, found: Interaction, draft: Draft) -> None:
    """Type 8: what an option might be."""
    enforce(form(required=["choices"], choices=CHOICES), draft.fields, "data")
    found.choices = draft.fields["choices"]


def _modal(_world: World, found: Interaction, draft: Draft) -> None:
    """Type 9: a form to fill in."""
    enforce(MODAL, draft.fields, "data")
    found.modal = draft.fields


_ACTS = {
    Callback.MESSAGE: _message,
    Callback.DEFERRED_MESSAGE: _deferred_message,
    Callback.DEFERRED_UPDATE: _deferred_update,
    Callback.UPDATE: _update,
    Callback.CHOICES: _choices,
    Callback.MODAL: _modal,
}


def _write(world: World, found: Interaction, draft: Draft, *, is_loading: bool) -> Message:
    return writing.write(
        world,
        found.channel,
        world.bot,
        draft,
        only_for=found.user if found.is_ephemeral else None,
        interaction=told(found),
        is_loading=is_loading,
    )


def told(found: Interaction) -> Json:
    """What stands beside an answer: who asked for it."""
    kind = Kind.COMMAND if found.kind is Kind.COMMAND else Kind.COMPONENT
    return {
        "id": str(found.id),
        "type": int(kind),
        "name": found.data.get("name", ""),
        "user": payloads.user(found.user),
    }


def _told(world: World, found: Interaction) -> Json:
    """The callback, for who wants to hear of it."""
    about: Json = {"id": str(found.id), "type": int(found.kind)}
    resource: Json = {"type": int(found.callback or 0)}
    if found.original is not None:
        shown = payloads.message(found.original, world.cdn, world.application_id)
        resource["message"] = shown
        about["response_message_id"] = shown["id"]
    return {"interaction": about, "resource": resource}
