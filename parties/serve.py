"""The daemon: both services up, until told to stop."""

from __future__ import annotations

import asyncio
import fcntl
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health

from parties import __version__
from parties.errors import ConfigError
from parties.home import Home
from parties.keyfiles import Passphrase
from parties.logs import log, start_logging
from parties.node import Node
from parties.operator_service import OperatorService
from parties.operators import Guard
from parties.peer_service import PeerService
from parties.rpc.v1.operator_pb2_grpc import add_OperatorServicer_to_server
from parties.rpc.v1.peer_pb2_grpc import add_PeerServicer_to_server
from parties.tls import SERVER_OPTIONS, server_credentials

DRAIN_SECONDS = 10.0
SWEEP_SECONDS = 5.0


async def serve(home: Home, on_ready: Callable[[str], None], passphrase: Passphrase = None) -> None:
    """Serves until SIGTERM or SIGINT; then drains and returns. ``passphrase`` opens sealed keys.

    Raises ``ConfigError`` if the address is taken, or a node runs in this directory already.
    """
    with _claimed(home):
        await _serve(home, on_ready, passphrase)


@contextmanager
def _claimed(home: Home) -> Iterator[None]:
    """One daemon a directory: a second would end the first one's jobs as those of a dead node."""
    with (home.state / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError(
                "a node is running here already", where=home.directory, remedy="stop it first"
            ) from None
        yield


async def _serve(home: Home, on_ready: Callable[[str], None], passphrase: Passphrase) -> None:
    # A core dump would hold keys and records.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    settings = home.settings()
    start_logging(settings.log_level)
    node = Node(home, passphrase)
    partners = grpc.aio.server(options=SERVER_OPTIONS)
    add_PeerServicer_to_server(PeerService(node), partners)
    healthy = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healthy, partners)
    try:
        partners.add_secure_port(settings.listen, server_credentials(node.identity, node.trust))
    except RuntimeError:
        raise ConfigError(
            f"cannot listen on {settings.listen}",
            where=home.node_toml,
            remedy="is the port taken, or another node running? change listen, or stop the other",
        ) from None
    socket = home.claim_socket()
    operators = grpc.aio.server()
    guard = Guard(node.me, home.operators_toml, time.time)
    add_OperatorServicer_to_server(OperatorService(node, guard), operators)
    health_pb2_grpc.add_HealthServicer_to_server(healthy, operators)
    socket.unlink(missing_ok=True)
    operators.add_insecure_port(f"unix:{socket}")
    await partners.start()
    await operators.start()
    socket.chmod(0o600)
    await healthy.set("", health_pb2.HealthCheckResponse.SERVING)

    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    log("ready", party=node.me, listen=settings.listen, version=__version__)
    on_ready(f"jointcredit node {node.me} ready on {settings.listen}")
    sweeper = asyncio.create_task(_sweep(node))
    await stopping.wait()

    log("draining", count=len(node.running))
    node.draining = True
    await healthy.enter_graceful_shutdown()
    sweeper.cancel()
    with suppress(asyncio.CancelledError):
        await sweeper
    deadline = loop.time() + DRAIN_SECONDS
    while node.running and loop.time() < deadline:
        await asyncio.sleep(0.1)
    await node.close()
    await asyncio.gather(partners.stop(1.0), operators.stop(1.0))
    socket.unlink(missing_ok=True)
    log("stopped", party=node.me)


async def _sweep(node: Node) -> None:
    """Plans that nobody began end when they expire, sessions when a peer's card is withdrawn."""
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        # Revocation must go on biting: neither a full disk nor a bug may end the sweeping.
        for chore in (node.drop_strangers, node.end_idle, lambda: node.expire(time.time())):
            try:
                chore()
            except Exception as error:
                log("internal-error", method="sweep", error=type(error).__name__)
