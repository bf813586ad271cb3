"""A link to a video, for who asks at a terminal."""

import click

from db.records import Request
from db.settings import read
from workers import storage
from workers.settings import WorkerSettings
from workers.storage import StorageUnavailable


def link_of(request: Request) -> str | None:
    """Where anybody can see its first video now; None where nowhere, and stderr tells why not."""
    if not request.video_urls:
        return None
    try:
        return storage.link_to(storage.load(read(WorkerSettings)), request.video_urls)
    except StorageUnavailable as error:
        click.echo(str(error), err=True)
        return None
