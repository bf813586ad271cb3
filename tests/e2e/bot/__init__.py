"""The real bot, against the double of Discord, with real servers and workers."""
