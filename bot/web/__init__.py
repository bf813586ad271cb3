"""The HTTP process (``video-bot web``): health for whoever keeps it running, and metrics."""
