"""How much of an answer a client has taken, asked from the system (tcp(7)).

The event loop knows only its own buffers, and over TLS not even those; the system moves on in steps of a
third of its buffer. What the peer has acknowledged is exact, and never stands still while somebody reads.
Linux only.
"""

from __future__ import annotations

import socket
import struct
from asyncio import Transport
from fcntl import ioctl
from termios import TIOCOUTQ

_ACKED_AT, _INFO_BYTES = 120, 128
"""Offset of `tcpi_bytes_acked` in `struct tcp_info`."""


def outstanding(transport: Transport) -> bool:
    """True if something was sent that the client has not taken; anything held back stands behind that."""
    connection = transport.get_extra_info("socket")
    if connection is None or connection.fileno() < 0:
        return False
    (held,) = struct.unpack("i", ioctl(connection.fileno(), TIOCOUTQ, b"\0" * 4))
    return bool(held)


def taken(transport: Transport) -> int:
    """Return the bytes that the client has taken so far, 0 where that cannot be known."""
    connection = transport.get_extra_info("socket")
    if connection is None or connection.fileno() < 0:
        return 0
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
    return int(struct.unpack_from("Q", info, _ACKED_AT)[0]) if len(info) >= _INFO_BYTES else 0
