"""The bot on Discord: its client, and commands that talk."""
