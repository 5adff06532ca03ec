"""A TCP proxy between nodes that cuts connections, or lets nothing through, as a test tells it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

PIECE = 2048


class Proxy:
    """From ``port`` to the port that ``target`` is set to.

    ``cut_after`` is asked for each connection: after how many bytes it is cut; ``None`` for never.
    """

    def __init__(self) -> None:
        self.port = self.target = 0
        self.cuts = 0
        self.cut_after: Callable[[], int | None] = lambda: None
        self._open: set[asyncio.StreamWriter] = set()

    def cut_all(self) -> None:
        for writer in self._open:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, back}
        self._open |= both
        left = self.cut_after()
        carried = 0

        async def carry(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
            nonlocal carried
            while data := await source.read(PIECE):
                carried += len(data)
                if left is not None and carried > left:
                    self.cuts += 1
                    return
                to.write(data)
                await to.drain()

        ways = [asyncio.create_task(carry(reader, back)), asyncio.create_task(carry(there, writer))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        self._open -= both
        for each in both:
            each.transport.abort()
        for way in ways:
            way.cancel()
            with suppress(asyncio.CancelledError, OSError):
                await way


@asynccontextmanager
async def proxy() -> AsyncIterator[Proxy]:
    made = Proxy()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        made.cut_all()
        await asyncio.sleep(0)
