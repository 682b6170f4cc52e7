"""Loopback addresses of endpoints: stable per endpoint, so that the same name means the same place in every run."""

from __future__ import annotations

import errno
import hashlib
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.dataplane.model import EndpointKey

_ATTEMPTS = 32
_LOCALHOST = "127.0.0.1"


def candidates(key: EndpointKey) -> Iterator[str]:
    """Yield addresses in 127.0.0.0/8, outside 127.0.0.0/16 where systems keep their own (127.0.0.1, .53, 127.0.1.1)."""
    for attempt in range(_ATTEMPTS):
        name = f"{key.account}/{key.region}/{key.cluster}/{key.role}/{attempt}"
        a, b, c = hashlib.sha256(name.encode()).digest()[:3]
        yield f"127.{a % 254 + 1}.{b}.{c % 254 + 1}"


def listen(key: EndpointKey, port: int) -> socket.socket:
    """Listen at the endpoint's address; busy ones are skipped.

    Where only 127.0.0.1 exists (macOS), or where something else listens on the port of all addresses, the port differs.
    """
    for address in candidates(key):
        try:
            return _listen(address, port)
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                break
            if error.errno != errno.EADDRINUSE:
                raise
    try:
        return _listen(_LOCALHOST, port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return _listen(_LOCALHOST, 0)


def free_port() -> int:
    """Return a port of 127.0.0.1 that is free now; who uses it must be ready to lose the race for it."""
    with socket.socket() as probe:
        probe.bind((_LOCALHOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _listen(address: str, port: int) -> socket.socket:
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener
