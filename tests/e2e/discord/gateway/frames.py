"""Frames of the gateway, and the ends of a connection (Topics, "Opcodes and Status Codes")."""

import json
import socket
import struct
from enum import IntEnum
from typing import Any

from aiohttp import web


class Op(IntEnum):
    """What a frame is for."""

    DISPATCH = 0
    HEARTBEAT = 1
    IDENTIFY = 2
    PRESENCE = 3
    VOICE_STATE = 4
    RESUME = 6
    RECONNECT = 7
    REQUEST_MEMBERS = 8
    INVALID_SESSION = 9
    HELLO = 10
    HEARTBEAT_ACK = 11


class Close(Exception):
    """The bot broke a rule, and is shut out with a code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def frame_of(text: str) -> tuple[Op, Any]:
    """What a frame of the bot's says."""
    try:
        found = json.loads(text)
        number, data = found["op"], found["d"]
    except (ValueError, KeyError, TypeError):
        raise Close(4002, "Error while decoding payload.") from None
    if number not in set(Op):
        raise Close(4001, "Unknown opcode.")
    return Op(number), data


def reset(request: web.Request) -> None:
    """Break a connection at once: the other side sees it reset, not closed."""
    transport = request.transport
    if transport is None:
        return
    found = transport.get_extra_info("socket")
    if found is not None:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
