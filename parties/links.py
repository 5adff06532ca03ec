"""A session's connection to one peer: frames both ways, over however many streams it takes.

For each pair of parties the one that stands earlier in the plan dials. When a stream breaks, the
dialler makes another, and both send again what the other may not have seen; the machine drops what
it has. A link is lost for good when no stream could be made for a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
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


class Stream:
    """One gRPC stream of a link: what is to go out on it, in order; ``None`` ends it."""

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._outbox: asyncio.Queue[LinkMessage | None] = asyncio.Queue()

    def put(self, message: LinkMessage) -> None:
        self._outbox.put_nowait(message)

    def end(self) -> None:
        self._outbox.put_nowait(None)

    async def messages(self) -> AsyncIterator[LinkMessage]:
        while (message := await self._outbox.get()) is not None:
            self._traffic.sent += message.ByteSize()
            yield message


class Link:
    """``on_message`` takes what arrives; ``on_connect`` gives what a new stream starts with.

    ``on_lost`` is told once, when the link is given up after ``patience`` seconds in which no
    stream was heard from.
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
        self._stream: Stream | None = None
        self._farewell: Abort | None = None
        self._closing = False
        self._closed = asyncio.Event()
        self._watch: asyncio.TimerHandle | None = None
        self._await_stream()

    def send(self, message: Frame | Credit | Receipt) -> None:
        """Puts ``message`` on the stream; without one it waits in the machine for the next."""
        if self._stream is not None:
            self._stream.put(_wrap(message))

    def close(self, farewell: Abort | None = None) -> None:
        """No more will be sent but what is under way, and ``farewell``.

        Without a stream a last one is waited for: the peer should hear how the session ended.
        """
        self._closing = True
        self._farewell = farewell
        if self._stream is not None:
            self._say_farewell(self._stream)

    def _say_farewell(self, stream: Stream) -> None:
        if self._farewell is not None:
            stream.put(_wrap(self._farewell))
        stream.end()

    async def closed(self) -> None:
        await self._closed.wait()

    def connect(self) -> Stream:
        """A new stream; an older one ends here."""
        if self._stream is not None:
            self._stream.end()
        stream = Stream(self.traffic)
        stream.put(LinkMessage(open=Open(session_id=self._session_id)))
        for message in self._on_connect(self.peer):
            stream.put(_wrap(message))
        if self._closing:
            self._say_farewell(stream)
        self._stream = stream
        return stream

    def receive(self, message: LinkMessage) -> None:
        """One message off a stream; the first shows that the peer is there."""
        self._stop_watch()
        self.traffic.received += message.ByteSize()
        content = message.WhichOneof("content")
        if content in ("frame", "credit", "receipt", "abort"):
            self._on_message(self.peer, getattr(message, content))

    def disconnected(self, stream: Stream, *, cleanly: bool) -> None:
        """``stream`` is gone. If both sides had said all they had to, that is the end."""
        if stream is not self._stream:
            return
        self._stream = None
        if self._closing and cleanly:
            self._stop_watch()
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
            stream = self.connect()
            call = PeerStub(channel).Link(wait_for_ready=False)
            writer = asyncio.create_task(_write(stream, call))
            cleanly = False
            try:
                async for message in call:
                    wait = RETRY_SECONDS
                    self.receive(message)
                cleanly = True
            except grpc.aio.AioRpcError as error:
                code = _FINAL.get(error.code())
                if code is not None:
                    self.lose(code)
            finally:
                writer.cancel()
                call.cancel()
            self.disconnected(stream, cleanly=cleanly)
            if not self._closed.is_set():
                await asyncio.sleep(wait)
                wait = min(2 * wait, MOST_RETRY_SECONDS)


_FINAL = {
    grpc.StatusCode.NOT_FOUND: "session-unknown",
    grpc.StatusCode.UNAUTHENTICATED: "peer-refused",
    grpc.StatusCode.PERMISSION_DENIED: "peer-refused",
}


async def _write(stream: Stream, call: grpc.aio.StreamStreamCall) -> None:
    # A stream that breaks is seen by the reading side, which decides what follows.
    with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
        async for message in stream.messages():
            await call.write(message)
        await call.done_writing()


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
