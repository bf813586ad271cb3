"""The way from a client to Google's own addresses, which ends at a double instead.

A proxy for HTTPS, as a network may have one: a client that was told of it (`HTTPS_PROXY`, and
`REQUESTS_CA_BUNDLE` for its certificate) calls Google's host and gets the double, with everything
in between as it really is.
"""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.e2e.google.accounts import Accounts
from tests.e2e.google.serving import served
from tests.e2e.google.traffic import Traffic
from tests.workers.waiting import PATIENCE

IAM: Final = "iamcredentials.googleapis.com"


@contextmanager
def cloud_run(accounts: Accounts, folder: Path) -> Iterator[dict[str, str]]:
    """The environment of a process without a key, which IAM may sign for; for the block."""
    with _in_front_of(IAM, accounts.routes(), accounts.traffic, folder) as https:
        yield accounts.on_cloud_run | https


@contextmanager
def _in_front_of(
    host: str, routes: web.RouteTableDef, traffic: Traffic, folder: Path
) -> Iterator[dict[str, str]]:
    """The environment in which `https://host` is these routes. No other host is to be had by it."""
    certificate = _certificate(host, folder)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    with served(routes, traffic, tls=tls) as port, _proxy(host, port) as proxy:
        yield {
            "HTTPS_PROXY": f"http://127.0.0.1:{proxy}",
            "NO_PROXY": "127.0.0.1,localhost",
            "REQUESTS_CA_BUNDLE": str(certificate),
        }


@contextmanager
def _proxy(host: str, port: int) -> Iterator[int]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="proxy")
    thread.start()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Join the client to the double, if that is whom it wants."""
        asked = (await reader.readuntil(b"\r\n\r\n")).decode()
        if not asked.startswith(f"CONNECT {host}:443 "):
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
            writer.close()
            return
        other_reader, other_writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_pipe(reader, other_writer), _pipe(other_reader, writer))

    async def close(server: asyncio.Server) -> None:
        server.close()
        rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    try:
        opening = asyncio.start_server(accept, "127.0.0.1", 0)
        server = asyncio.run_coroutine_threadsafe(opening, loop).result(PATIENCE)
        yield server.sockets[0].getsockname()[1]
        asyncio.run_coroutine_threadsafe(close(server), loop).result(PATIENCE)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while part := await reader.read(65_536):
            writer.write(part)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


def _certificate(host: str, folder: Path) -> Path:
    """A certificate for the host that vouches for itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "certificate.pem"
    path.write_bytes(private + made.public_bytes(pem))
    return path
