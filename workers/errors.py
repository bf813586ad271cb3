"""What can go wrong between us and Redis, for those who need no Celery to name it."""


class BrokerUnavailable(Exception):
    """Redis did not confirm that it has the message. The reason names no password."""
