"""The Celery application and what it does: the chain, its tasks, the sweeper, providers, storage.

This package knows nothing of nextcord's client or of serving HTTP.
"""
