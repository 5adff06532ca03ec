"""A session's connection to one peer: frames both ways, over however many streams it takes.

For each pair of parties the one that stands earlier in the plan dials. When a stream breaks, the
dialler makes another, and both send again what the other may not have seen; the machine drops what
it has. A link is lost for good when no stream could be made for a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import grpc

from mpc.wire.v1.session_pb2 import Credit, Frame, Receipt
from parties.rpc.v1.peer_pb2 import Abort, LinkMessage, Open
from parties.rpc.v1.peer_pb2_grpc import PeerStub
from protocols.errors import LinkLost, SessionError

RETRY_SECONDS = 0.25
MOST_RETRY_SECONDS = 5.0

Received = Frame | Credit | Receipt | Abort


@dataclass
class Traffic:
    """Bytes of messages, as serialised, without TLS and HTTP/2 framing."""

    sent: int = 0
    received: int = 0


class Link:
    """``on_message`` takes what arrives; ``on_connect`` gives what a new stream starts with.

    ``on_lost`` is told once, when the link is given up after ``patience`` seconds without a stream.
    """

    def __init__(
        self,
        peer: str,
        session_id: bytes,
        patience: float,
        on_message: Callable[[str, Received], None],
        on_connect: Callable[[str], list[Frame | Credit | Receipt]],
        on_lost: Callable[[SessionError], None],
    ) -> None:
        self.peer = peer
        self.traffic = Traffic()
        self._session_id = session_id
        self._patience = patience
        self._on_message, self._on_connect, self._on_lost = on_message, on_connect, on_lost
        self._outbox: asyncio.Queue[LinkMessage | None] | None = None
        self._closing = False
        self._closed = asyncio.Event()
        self._watch: asyncio.TimerHandle | None = None
        self._await_stream()

    def send(self, message: Frame | Credit | Receipt | Abort) -> None:
        """Puts ``message`` on the stream; without one it waits in the machine for the next."""
        if self._outbox is not None:
            self._outbox.put_nowait(_wrap(message))

    def close(self) -> None:
        """No more will be sent: what is under way still goes out."""
        self._closing = True
        self._stop_watch()
        if self._outbox is not None:
            self._outbox.put_nowait(None)
        else:
            self._closed.set()

    async def closed(self) -> None:
        await self._closed.wait()

    def connect(self) -> AsyncIterator[LinkMessage]:
        """A new stream's outgoing messages; an older stream's end here."""
        if self._outbox is not None:
            self._outbox.put_nowait(None)
        outbox: asyncio.Queue[LinkMessage | None] = asyncio.Queue()
        outbox.put_nowait(LinkMessage(open=Open(session_id=self._session_id)))
        for message in self._on_connect(self.peer):
            outbox.put_nowait(_wrap(message))
        if self._closing:
            outbox.put_nowait(None)
        self._outbox = outbox
        return self._drain(outbox)

    async def _drain(self, outbox: asyncio.Queue[LinkMessage | None]) -> AsyncIterator[LinkMessage]:
        while (message := await outbox.get()) is not None:
            self.traffic.sent += message.ByteSize()
            yield message

    def receive(self, message: LinkMessage) -> None:
        """One message off the stream; the first shows that the peer is there."""
        self._stop_watch()
        self.traffic.received += message.ByteSize()
        content = message.WhichOneof("content")
        if content in ("frame", "credit", "receipt", "abort"):
            self._on_message(self.peer, getattr(message, content))

    def disconnected(self, outbox_ended: bool) -> None:
        """The stream is gone. With nothing more to send, that is the end."""
        self._outbox = None
        if self._closing and outbox_ended:
            self._closed.set()
        else:
            self._await_stream()

    def _await_stream(self) -> None:
        if self._watch is None:
            loop = asyncio.get_running_loop()
            self._watch = loop.call_later(self._patience, self.lose, "link-lost")

    def _stop_watch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def lose(self, code: str) -> None:
        """Gives the link up."""
        self._stop_watch()
        self._closed.set()
        self._on_lost(LinkLost(self.peer, code))

    async def dial(self, channel: grpc.aio.Channel) -> None:
        """Keeps a stream to the peer until the link is closed or lost."""
        wait = RETRY_SECONDS
        while not self._closed.is_set():
            ended = False
            call = PeerStub(channel).Link(wait_for_ready=False)
            writer = asyncio.create_task(self._write(call))
            try:
                async for message in call:
                    wait = RETRY_SECONDS
                    self.receive(message)
                ended = True
            except grpc.aio.AioRpcError as error:
                if error.code() == grpc.StatusCode.NOT_FOUND:
                    self.lose("session-unknown")
                elif error.code() in (
                    grpc.StatusCode.UNAUTHENTICATED,
                    grpc.StatusCode.PERMISSION_DENIED,
                ):
                    self.lose("peer-refused")
            finally:
                writer.cancel()
                call.cancel()
            if self._closed.is_set():
                return
            self.disconnected(ended)
            if not self._closed.is_set():
                await asyncio.sleep(wait)
                wait = min(2 * wait, MOST_RETRY_SECONDS)

    async def _write(self, call: grpc.aio.StreamStreamCall) -> None:
        try:
            async for message in self.connect():
                await call.write(message)
            await call.done_writing()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return  # the reading side sees the same, and decides


def _wrap(message: Frame | Credit | Receipt | Abort) -> LinkMessage:
    match message:
        case Frame():
            return LinkMessage(frame=message)
        case Credit():
            return LinkMessage(credit=message)
        case Receipt():
            return LinkMessage(receipt=message)
        case _:
            return LinkMessage(abort=message)
