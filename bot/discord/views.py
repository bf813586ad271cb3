"""Buttons and menus under answers. Their ids say all that is needed to serve them."""

from collections.abc import Sequence
from uuid import UUID

from bot import embeds
from bot.discord.library import nextcord
from bot.discord.pages import OLDEST_PAGE, Page
from db.records import Request
from db.states import Status

Style = nextcord.ButtonStyle


def _button(
    label: str, custom_id: str, style: Style = Style.secondary
) -> nextcord.ui.Button[nextcord.ui.View]:
    return nextcord.ui.Button(label=label, custom_id=custom_id, style=style)


def of_video(request: Request) -> nextcord.ui.View:
    """What can be done with a request of one's own."""
    view = nextcord.ui.View()
    if request.status is Status.COMPLETED or request.is_late:
        view.add_item(_button("Remix", f"video:remix:{request.id}", Style.primary))
        view.add_item(_button("Again", f"video:again:{request.id}"))
    elif request.status.has_ended:
        view.add_item(_button("Retry", f"video:retry:{request.id}", Style.primary))
    if request.archived_at is None:
        view.add_item(_button("Archive", f"video:archive:{request.id}"))
    else:
        view.add_item(_button("Restore", f"video:restore:{request.id}"))
    view.add_item(_button("Delete", f"video:delete:{request.id}", Style.danger))
    for address in embeds.links(request)[:1]:
        view.add_item(nextcord.ui.Button(label="Watch", url=address))
    return view


def of_history(page: Page, requests: Sequence[Request], *, has_older: bool) -> nextcord.ui.View:
    """Turning pages, and a menu that opens one of its videos."""
    view = nextcord.ui.View()
    if requests:
        menu: nextcord.ui.StringSelect[nextcord.ui.View] = nextcord.ui.StringSelect(
            custom_id="history:open",
            placeholder="Open one",
            options=[_option(each) for each in requests],
        )
        view.add_item(menu)
    newer, older = page.newer, page.older
    for label, to, is_there in (
        ("Newer", newer, page.number > 0),
        ("Older", older, has_older and page.number < OLDEST_PAGE),
    ):
        button = _button(label, to.custom_id(label))
        button.disabled = not is_there
        view.add_item(button)
    return view


def _option(request: Request) -> nextcord.SelectOption:
    line = " ".join(request.prompt.split())[:90] or "-"
    return nextcord.SelectOption(
        label=line, value=str(request.id), emoji=embeds.SIGNS[request.status]
    )


def of_wish_to_be_forgotten() -> nextcord.ui.View:
    """Asks before everything goes."""
    view = nextcord.ui.View()
    view.add_item(_button("Delete everything", "mydata:forget", Style.danger))
    view.add_item(_button("Keep it", "mydata:keep"))
    return view


class RemixForm(nextcord.ui.Modal):
    """The prompt, to be changed."""

    def __init__(self, request_id: UUID, prompt: str) -> None:
        super().__init__("Remix", custom_id=f"video:remix:{request_id}", timeout=900)
        field: nextcord.ui.TextInput[nextcord.ui.View] = nextcord.ui.TextInput(
            "What is to be seen and heard",
            custom_id="prompt",
            style=nextcord.TextInputStyle.paragraph,
            min_length=5,
            max_length=600,
            default_value=prompt,
        )
        self.add_item(field)
