"""The web process, put together: its pages, what every answer of it carries, where it listens."""

import socket
from contextlib import suppress

import structlog
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from bot.settings import WebSettings
from bot.web import health, metrics
from db.probe import Probe
from db.settings import DatabaseSettings

log = structlog.get_logger(__name__)


def application(database: DatabaseSettings, web: WebSettings) -> FastAPI:
    """The pages of the process, and none that describe them."""
    app = FastAPI(title="video-bot", docs_url=None, redoc_url=None, openapi_url=None)
    probe = Probe(database)
    app.include_router(health.router(probe))
    app.include_router(metrics.router(probe, web.metrics_token))

    @app.exception_handler(Exception)
    async def hide_what_happened(request: Request, error: Exception) -> Response:
        # The log has it.
        del request, error
        return JSONResponse({"status": "error"}, 500)

    return app


def serve(app: FastAPI, listener: socket.socket) -> None:
    """Answer on `listener` until SIGTERM or Ctrl-C."""
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        headers=[("cache-control", "no-store"), ("x-content-type-options", "nosniff")],
        # Nobody's word is taken for who asks.
        proxy_headers=False,
        limit_concurrency=1000,
        timeout_graceful_shutdown=5,
    )
    address, port, *_ = listener.getsockname()
    log.info("web_listening", address=address, port=port)
    # Uvicorn ends in order, and then raises again the signal that told it to.
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])
