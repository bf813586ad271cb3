"""``/veo``."""

from typing import Any, Final

from bot.discord.answering import promise
from bot.discord.desk import Desk
from bot.discord.library import Asked, commands, nextcord
from bot.discord.offering import offering
from bot.discord.taking import check, guild_of, request_id, take_on, user_of
from db.records import NewRequest
from db.validation import ASPECT_RATIOS, DURATIONS, PROMPT_LENGTH, RESOLUTIONS

SECONDS: Final = {f"{each} seconds": each for each in DURATIONS}
SHAPES: Final = {"16:9": "wide", "9:16": "tall"}
RATIOS: Final = {f"{each} ({SHAPES[each]})": each for each in ASPECT_RATIOS}


def veo(desk: Desk) -> commands.Cog:
    """Asking for a video, with the options that this bot's provider has."""

    class Veo(commands.Cog):
        """The command."""

        @nextcord.slash_command(description="Make a video of what you describe")
        @offering(desk.provider)
        async def veo(
            self,
            asked: Asked,
            prompt: str = nextcord.SlashOption(
                description="What is to be seen and heard",
                min_length=PROMPT_LENGTH[0],
                max_length=PROMPT_LENGTH[-1],
            ),
            duration: int = nextcord.SlashOption(
                description="How long it is (4 seconds)", choices=SECONDS, default=4
            ),
            aspect_ratio: str = nextcord.SlashOption(
                description="Its shape (16:9)", choices=RATIOS, default="16:9"
            ),
            resolution: str = nextcord.SlashOption(
                description="How sharp it is (720p)", choices=[*RESOLUTIONS], default="720p"
            ),
            audio: bool = nextcord.SlashOption(description="With sound (yes)", default=True),
            **besides: Any,
        ) -> None:
            """Check what takes no time, promise an answer, and take it on."""
            new = NewRequest(
                id=request_id(asked),
                user_id=user_of(asked),
                guild_id=guild_of(asked),
                channel_id=str(asked.channel_id),
                prompt=prompt,
                duration_seconds=duration,
                aspect_ratio=aspect_ratio,
                resolution=resolution,
                generate_audio=audio,
                **besides,
            )
            check(desk, asked, new)
            await promise(asked, is_private=False)
            await take_on(desk, asked, new)

    return Veo()
