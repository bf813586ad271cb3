"""``video-bot up`` runs the bot too, where it has a token."""

import signal

from tests.bot.running import started
from tests.e2e.bot.conftest import NewStudio
from tests.e2e.bot.studio import COMMANDS
from tests.e2e.discord import Person


def test_the_whole_system_with_the_bot(new_studio: NewStudio, ana: Person) -> None:
    studio = new_studio()
    arguments = ("up", "--folder", str(studio.system.folder / "up"))
    with started(*arguments, env={**studio.environment, "LOG_FORMAT": "json"}) as running:
        running.wait_for(r"^bot +\| .*bot_ready")
        studio.discord.wait_for_commands(*COMMANDS)
        ana.slash("quota").wait_for_text("Last 24 hours")
        assert running.end(signal.SIGTERM) in (0, 130), running.output
