"""A double in a thread of its own, on a free port."""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from tests.e2e.google.traffic import Traffic
from tests.workers.waiting import PATIENCE

LARGEST = 2**28
"""Bytes of a call."""


@contextmanager
def served(
    routes: web.RouteTableDef,
    traffic: Traffic,
    *,
    tls: ssl.SSLContext | None = None,
    port: int = 0,
) -> Iterator[int]:
    """The port at which these routes answer, for the block; every call is in `traffic`.

    Without `port` it is any that is free.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="fake Google")
    thread.start()
    try:
        serving = _serve(routes, traffic, tls, port)
        runner = asyncio.run_coroutine_threadsafe(serving, loop).result(PATIENCE)
        try:
            yield runner.addresses[0][1]
        finally:
            traffic.release_all()
            asyncio.run_coroutine_threadsafe(_stop(runner), loop).result(PATIENCE)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _serve(
    routes: web.RouteTableDef, traffic: Traffic, tls: ssl.SSLContext | None, port: int
) -> web.AppRunner:
    app = web.Application(middlewares=[traffic.middleware], client_max_size=LARGEST)
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
    return runner


async def _stop(runner: web.AppRunner) -> None:
    """Close the port, and leave nothing running."""
    await runner.cleanup()
    rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
