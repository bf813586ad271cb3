"""``python -m bot.cli`` is ``video-bot``, wherever its script may lie."""

from bot.cli.main import main

main()
