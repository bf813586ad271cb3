"""A bot of a few commands, with the real client: `python -m tests.e2e.tiny_bot URL TOKEN`.

Its commands are global, or those of the guilds whose ids follow.

It proves the double, not the product: what nextcord sends and expects is what must be understood.
"""

import io
import logging
import sys
from typing import Any

import nextcord
from nextcord.ext import commands
from nextcord.http import Route

Asked = nextcord.Interaction[nextcord.Client]
Button = nextcord.ui.Button[nextcord.ui.View]
Menu = nextcord.ui.StringSelect[nextcord.ui.View]

NO_DM: dict[str, Any] = (
    {"dm_permission": False} if nextcord.version_info < (3,) else {"contexts": [0]}
)
"""How nextcord 2 and 3 keep a command out of conversations with the bot."""
# Commands of a guild are never offered there: Discord keeps no contexts for them, and nextcord 3
# would register such a command again at every start.
ONLY_GUILDS = NO_DM if len(sys.argv) == 3 else {}
INTENTS = nextcord.Intents(guilds=True)
CHOICES = {"Four": 4, "Eight": 8}
MODELS = ["fast", "fine", "finest"]


class Note(nextcord.ui.Modal):
    """A form with one field."""

    def __init__(self) -> None:
        super().__init__("A note", custom_id="note", timeout=None)
        self.text: nextcord.ui.TextInput[nextcord.ui.View] = nextcord.ui.TextInput(
            "Text", custom_id="text", max_length=20
        )
        self.add_item(self.text)

    async def callback(self, interaction: Asked) -> None:
        await interaction.send(f"Noted: {self.text.value}", ephemeral=True)


class Buttons(nextcord.ui.View):
    """A button that opens the form, one that changes its message, and a menu."""

    def __init__(self) -> None:
        super().__init__(timeout=None)

    @nextcord.ui.button(label="Note", custom_id="tiny:note")
    async def note(self, _: Button, interaction: Asked) -> None:
        await interaction.response.send_modal(Note())

    @nextcord.ui.button(label="Done", custom_id="tiny:done")
    async def done(self, _: Button, interaction: Asked) -> None:
        await interaction.response.edit_message(content="Done.", view=None)

    @nextcord.ui.button(label="Never", custom_id="tiny:never", disabled=True)
    async def never(self, _: Button, __: Asked) -> None:
        raise AssertionError

    @nextcord.ui.string_select(
        custom_id="tiny:model",
        placeholder="Model",
        options=[nextcord.SelectOption(label=each.title(), value=each) for each in MODELS],
    )
    async def model(self, menu: Menu, interaction: Asked) -> None:
        await interaction.response.defer()
        await interaction.edit_original_message(content=f"Model {menu.values[0]}")


class Tiny(commands.Cog):
    """The commands."""

    @nextcord.slash_command(description="Make a video")
    async def veo(
        self,
        interaction: Asked,
        prompt: str = nextcord.SlashOption(description="What to see", min_length=5, max_length=600),
        duration: int = nextcord.SlashOption(description="Seconds", choices=CHOICES, default=8),
        model: str = nextcord.SlashOption(description="Model", required=False),
    ) -> None:
        await interaction.response.defer()
        await interaction.edit_original_message(content=f"{prompt}, {duration} s, {model}")
        film = nextcord.File(io.BytesIO(b"film" * duration), "film.mp4")
        await interaction.edit_original_message(content="Here it is.", file=film, view=Buttons())
        await interaction.followup.send("Only for you.", ephemeral=True)

    @veo.on_autocomplete("model")
    async def models(self, interaction: Asked, typed: str) -> None:
        await interaction.response.send_autocomplete([m for m in MODELS if m.startswith(typed)])

    @nextcord.slash_command(description="Limits", default_member_permissions=32, **ONLY_GUILDS)
    async def limits(self, interaction: Asked) -> None:
        """Never called itself: it has subcommands."""

    @limits.subcommand(description="Show a limit")
    async def show(self, interaction: Asked, user: nextcord.User) -> None:
        await interaction.send(f"{user.mention} has 5.", ephemeral=True)

    @nextcord.slash_command(description="Write to the channel")
    async def shout(self, interaction: Asked, text: str) -> None:
        await interaction.response.defer(ephemeral=True)
        assert isinstance(interaction.channel, nextcord.TextChannel)
        sent = await interaction.channel.send(text, nonce="shout")
        await sent.edit(content=f"{text}!")
        await interaction.followup.send("Shouted.")

    @nextcord.message_command(name="Quote")
    async def quote(self, interaction: Asked, message: nextcord.Message) -> None:
        await interaction.send(f"> {message.content}")


class TinyBot(commands.Bot):
    """The client, with its buttons known from the start."""

    async def on_ready(self) -> None:
        self.add_view(Buttons())


def main() -> None:
    """Serve until killed."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    url, token, *guilds = sys.argv[1:]
    Route.BASE = url
    bot = TinyBot(intents=INTENTS, default_guild_ids=[int(each) for each in guilds])
    bot.add_cog(Tiny())
    bot.run(token)


if __name__ == "__main__":
    main()
