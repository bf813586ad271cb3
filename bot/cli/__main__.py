"""``python -m bot.cli`` is ``video-bot``, wherever its script may lie."""

from bot.cli import main

main()
