"""Plain TCP from endpoints to servers. TLS passes through: it is the real server that proves its name."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import socket

Target = Callable[[], tuple[str, int] | None]
_T = TypeVar("_T")
_CHUNK = 65536


class Forwarder:
    """All endpoints, in one thread. Where a connection goes is asked when it comes in."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="endpoint-forwarder", daemon=True)
        self._thread.start()
        self._connections: set[asyncio.Task[Any]] = set()

    def open(self, listener: socket.socket, target: Target) -> asyncio.Server:
        """Forward what connects to ``listener``; while there is no target, connections are closed at once."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            if task is not None:
                self._connections.add(task)
                task.add_done_callback(self._connections.discard)
            await _forward(reader, writer, target)

        return self._run(asyncio.start_server(serve, sock=listener))

    def close_endpoint(self, server: asyncio.Server) -> None:
        """Take no more connections. Established ones live on, as they do when AWS takes a DNS name away."""

        async def close() -> None:
            server.close()

        self._run(close())

    def close(self) -> None:
        """End every connection and the thread. Endpoints must be closed before."""

        async def cancel() -> None:
            for task in self._connections:
                task.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)

        self._run(cancel())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: Target) -> None:
    place = target()
    if place is None:
        writer.transport.abort()
        return
    try:
        upstream_reader, upstream_writer = await asyncio.open_connection(*place)
    except OSError:
        writer.transport.abort()
        return
    pumps = [
        asyncio.ensure_future(_pump(reader, upstream_writer)),
        asyncio.ensure_future(_pump(upstream_reader, writer)),
    ]
    try:
        # In both protocols an end in one direction ends the session; what was read is flushed by close().
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for pump in pumps:
            pump.cancel()
        writer.close()
        upstream_writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
