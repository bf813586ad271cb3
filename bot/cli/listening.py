"""Where a process listens that people look at with a browser."""

import errno
import socket

from bot.cli.errors import CommandFailed


def listener(address: str, port: int, *, whose: str) -> socket.socket:
    """A socket that listens there. Raises CommandFailed."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        return socket.create_server((address, port), family=family, backlog=1024)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            reason = f"Port {port} is in use; PORT names another for {whose}"
        else:
            reason = f"Cannot listen on {address}, port {port}: {error.strerror}"
        raise CommandFailed(reason) from None
