"""What follows a first answer (Interactions, "Receiving and Responding": "Followup Messages").

No bot token is asked for: the interaction's own is in the address, and is good for 15 minutes.
"""

from tests.e2e.discord import payloads, writing
from tests.e2e.discord.errors import Json, refusal
from tests.e2e.discord.interactions import Interaction, to_follow_up
from tests.e2e.discord.model import EPHEMERAL, Message
from tests.e2e.discord.rest.callbacks import told
from tests.e2e.discord.rest.routing import Call, Routes

ORIGINAL = "@original"
MESSAGE = "/webhooks/{webhook}/{token}/messages/{message}"

routes = Routes()


@routes("POST", "/webhooks/{webhook}/{token}", needs_token=False)
def follow_up(call: Call) -> Json:
    """One more message; right after a deferral it is the message that was promised."""
    found = _interaction(call)
    writing.check(call.world, call.draft)
    original = found.original
    if original is not None and original.now.is_loading:
        return _shown(call, writing.edit(call.world, original, call.draft))
    is_private = bool(call.draft.flags & EPHEMERAL)
    made = writing.write(
        call.world,
        found.channel,
        call.world.bot,
        call.draft,
        only_for=found.user if is_private else None,
        interaction=told(found),
    )
    found.followups.append(made)
    return _shown(call, made)


@routes("GET", MESSAGE, needs_token=False)
def read(call: Call) -> Json:
    """A message of the interaction."""
    return _shown(call, _find(call))


@routes("PATCH", MESSAGE, needs_token=False)
def edit(call: Call) -> Json:
    """A message changes; what was promised comes."""
    message = _find(call)
    writing.check(call.world, call.draft)
    return _shown(call, writing.edit(call.world, message, call.draft))


@routes("DELETE", MESSAGE, needs_token=False)
def delete(call: Call) -> None:
    """A message goes."""
    writing.delete(call.world, _find(call))


def _interaction(call: Call) -> Interaction:
    found = to_follow_up(call.world, call["webhook"], call["token"])
    if found.channel.id not in call.world.channels:
        raise refusal(10003)
    return found


def _find(call: Call) -> Message:
    """The message that is spoken of."""
    found = _interaction(call)
    if call["message"] == ORIGINAL:
        message = found.original
    else:
        wanted = call["message"]
        message = next((each for each in found.messages if str(each.id) == wanted), None)
    if message is None or message.is_deleted:
        raise refusal(10008)
    return message


def _shown(call: Call, message: Message) -> Json:
    return payloads.message(message, call.world.cdn, call.world.application_id)
