"""Mutual TLS between real gRPC servers and clients on loopback, with the attacks carried out."""

from __future__ import annotations

import asyncio
import datetime
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mpc.secret import Secret
from parties.cards import Card, make_card, parse_card
from parties.identity import Identity, server_name
from parties.status import grpc_status, public_code
from parties.tls import (
    MOST_MESSAGE_BYTES,
    SERVER_OPTIONS,
    open_channel,
    peer_of,
    server_credentials,
)
from parties.trust import TrustStore
from protocols.errors import Refused

NOW = datetime.datetime.now(datetime.UTC)
A = Identity.create("bank-a")
B = Identity.create("acme")
C = Identity.create("zeta")


@dataclass
class Node:
    """A server that answers every call with its caller's name, as ``peer_of`` tells it."""

    identity: Identity
    store: TrustStore
    port: int = 0
    seen: list[dict[str, Any]] = field(default_factory=list)
    later: datetime.timedelta = datetime.timedelta()

    @property
    def card(self) -> Card:
        return make_card(self.identity, f"127.0.0.1:{self.port}")

    async def answer(self, request: bytes, context: Any) -> bytes:
        self.seen.append(dict(context.auth_context()))
        try:
            now = datetime.datetime.now(datetime.UTC) + self.later
            return peer_of(context, self.store, now).name.encode()
        except Refused as error:
            await context.abort(grpc_status(error), public_code(error))
            raise


class Everything(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self, answer: Callable[[bytes, Any], Awaitable[bytes]]) -> None:
        self._answer = answer

    def service(self, details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(self._answer)


@asynccontextmanager
async def serving(
    directory: Path, *trusted: Identity, identity: Identity = A
) -> AsyncIterator[Node]:
    directory.mkdir(exist_ok=True)
    node = Node(identity, TrustStore(directory, identity.name))
    for partner in trusted:
        node.store.add(make_card(partner, "127.0.0.1:1"))
    server = grpc.aio.server(options=SERVER_OPTIONS)
    server.add_generic_rpc_handlers((Everything(node.answer),))
    node.port = server.add_secure_port("127.0.0.1:0", server_credentials(identity, node.store))
    await server.start()
    try:
        yield node
    finally:
        await server.stop(None)


async def call(channel: grpc.aio.Channel, request: bytes = b"", **options: Any) -> str:
    """The answer, or the status with which the call ended."""
    try:
        answer: bytes = await channel.unary_unary("/test/Call")(request, timeout=10, **options)
        return answer.decode()
    except grpc.aio.AioRpcError as error:
        text = error.code().name
        return f"{text} {error.details()}" if text == "UNAUTHENTICATED" else text


async def ask(identity: Identity, card: Card) -> str:
    async with open_channel(identity, card) as channel:
        return await call(channel)


def test_partners_know_each_other_over_tls_1_3(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(tmp_path / "a", B, C) as node:
            assert await ask(B, node.card) == "acme"
            assert await ask(C, node.card) == "zeta"
            assert all(facts["ssl_tls_version"] == [b"TLSv1.3"] for facts in node.seen)

    asyncio.run(scenario())


def test_strangers_do_not_get_in(tmp_path: Path) -> None:
    expired = Identity.create("acme", NOW - datetime.timedelta(days=10), days=9)
    future = Identity.create("zeta", NOW + datetime.timedelta(days=10))

    async def scenario() -> None:
        async with serving(tmp_path / "a", B) as node:
            assert await ask(C, node.card) == "UNAVAILABLE"
            assert await ask(B.renewed(), node.card) == "UNAVAILABLE"
            assert await ask(A, node.card) == "UNAVAILABLE"
            assert await ask(B, node.card) == "acme"
        async with serving(tmp_path / "dates", expired, future) as node:
            assert await ask(expired, node.card) == "UNAVAILABLE"
            assert await ask(future, node.card) == "UNAVAILABLE"
        # With nobody trusted our own certificate is the only root, and not a partner either.
        async with serving(tmp_path / "empty") as node:
            assert await ask(B, node.card) == "UNAVAILABLE"
            assert await ask(A, node.card) == "UNAUTHENTICATED peer-unknown"

    asyncio.run(scenario())


def test_no_certificate_and_no_tls(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(tmp_path / "a", B) as node:
            credentials = grpc.ssl_channel_credentials(node.card.certificate.encode())
            options = [("grpc.ssl_target_name_override", server_name("bank-a"))]
            address = node.card.endpoint
            async with grpc.aio.secure_channel(address, credentials, options=options) as channel:
                assert await call(channel) == "UNAVAILABLE"
            async with grpc.aio.insecure_channel(address) as channel:
                assert await call(channel) == "UNAVAILABLE"
            assert node.seen == []

    asyncio.run(scenario())


def test_a_partner_cannot_pass_for_another(tmp_path: Path) -> None:
    """``acme`` is trusted, and signs itself a certificate in the name of ``zeta``."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.load_pem_x509_certificate(B.certificate)
    forged = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, server_name("zeta"))]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(NOW - datetime.timedelta(hours=1))
        .not_valid_after(NOW + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(server_name("zeta"))]), False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False)
        .sign(load_pem_private_key(B.tls_key.expose(), None), hashes.SHA256())  # type: ignore[arg-type]
        .public_bytes(Encoding.PEM)
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    swapped = replace(C, tls_key=B.tls_key, certificate=B.certificate)
    stolen = replace(C, tls_key=B.tls_key)

    async def scenario() -> None:
        async with serving(tmp_path / "a", B, C) as node:
            for chain in (forged, forged + B.certificate):
                attacker = replace(B, tls_key=Secret(pem), certificate=chain)
                assert await ask(attacker, node.card) == "UNAVAILABLE"
            # Calling itself zeta changes nothing: the certificate says acme.
            assert await ask(swapped, node.card) == "acme"
            # zeta's public certificate without zeta's key.
            assert await ask(stolen, node.card) == "UNAVAILABLE"

    asyncio.run(scenario())


def test_only_the_pinned_server_is_talked_to(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(tmp_path / "c", B, identity=C) as impostor:
            # zeta answers at the address where acme expects bank-a.
            card = make_card(A, impostor.card.endpoint)
            assert await ask(B, card) == "UNAVAILABLE"
            assert impostor.seen == []
        twin = Identity.create("bank-a")
        async with serving(tmp_path / "t", B, identity=twin) as impostor:
            assert await ask(B, make_card(A, impostor.card.endpoint)) == "UNAVAILABLE"
            assert impostor.seen == []
            assert await ask(B, impostor.card) == "acme"

    asyncio.run(scenario())


def test_trust_changes_without_a_restart_on_open_connections_too(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(tmp_path / "a", B) as node:
            assert await ask(C, node.card) == "UNAVAILABLE"
            # Another process, such as `node trust`, adds zeta.
            TrustStore(tmp_path / "a", "bank-a").add(make_card(C, "127.0.0.1:1"))
            async with open_channel(C, node.card) as channel:
                assert await call(channel) == "zeta"
                (tmp_path / "a" / "zeta.card").unlink()
                assert await call(channel) == "UNAUTHENTICATED peer-unknown"
            assert await ask(C, node.card) == "UNAVAILABLE"
            # A new certificate of the same party: the old one is out from then on.
            async with open_channel(B, node.card) as channel:
                assert await call(channel) == "acme"
                renewed = B.renewed()
                node.store.add(make_card(renewed, "127.0.0.1:1"))
                assert await call(channel) == "UNAUTHENTICATED peer-unknown"
                assert await ask(renewed, node.card) == "acme"

    asyncio.run(scenario())


def test_a_certificate_that_expires_on_an_open_connection(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            serving(tmp_path / "a", B) as node,
            open_channel(B, node.card) as channel,
        ):
            assert await call(channel) == "acme"
            node.later = datetime.timedelta(days=398)
            assert await call(channel) == "UNAUTHENTICATED peer-expired"

    asyncio.run(scenario())


def test_a_company_authority_works_through_its_pinned_leaves(tmp_path: Path) -> None:
    """The pin is the leaf: another leaf of the same authority is a stranger."""
    authority = ec.generate_private_key(ec.SECP384R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Example Group CA")])

    def issued(identity: Identity) -> Identity:
        own = x509.load_pem_x509_certificate(identity.certificate)
        builder = x509.CertificateBuilder(
            issuer, own.subject, own.public_key(), x509.random_serial_number(),
            own.not_valid_before_utc, own.not_valid_after_utc, list(own.extensions),
        )
        leaf = builder.sign(authority, hashes.SHA256())
        return replace(identity, certificate=leaf.public_bytes(Encoding.PEM))

    a, b, c = issued(A), issued(B), issued(C)

    async def scenario() -> None:
        async with serving(tmp_path / "a", b, identity=a) as node:
            assert parse_card(node.card.to_json()).name == "bank-a"
            assert await ask(b, node.card) == "acme"
            assert await ask(c, node.card) == "UNAVAILABLE"
        async with serving(tmp_path / "c", b, identity=replace(c, name="bank-a")) as impostor:
            assert await ask(b, make_card(a, impostor.card.endpoint)) == "UNAVAILABLE"

    asyncio.run(scenario())


def test_a_call_over_tls_1_2_is_refused(tmp_path: Path) -> None:
    """A client with the right certificate that insists on the older version."""
    (tmp_path / "key").write_bytes(B.tls_key.expose())
    (tmp_path / "crt").write_bytes(B.certificate)

    def speak(port: int, version: ssl.TLSVersion) -> bytes:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(cadata=A.certificate.decode())
        context.load_cert_chain(tmp_path / "crt", tmp_path / "key")
        context.set_alpn_protocols(["h2"])
        context.maximum_version = version
        with (
            socket.create_connection(("127.0.0.1", port), 10) as raw,
            context.wrap_socket(raw, server_hostname=server_name("bank-a")) as connection,
        ):
            connection.sendall(http2_call())
            received = b""
            while b"tls-version" not in received and b"acme" not in received:
                piece = connection.recv(4096)
                if not piece:
                    break
                received += piece
            return received

    async def scenario() -> None:
        async with serving(tmp_path / "a", B) as node:
            modern = await asyncio.to_thread(speak, node.port, ssl.TLSVersion.TLSv1_3)
            assert b"acme" in modern
            old = await asyncio.to_thread(speak, node.port, ssl.TLSVersion.TLSv1_2)
            assert b"acme" not in old and b"tls-version" in old
            assert [facts["ssl_tls_version"] for facts in node.seen] == [[b"TLSv1.3"], [b"TLSv1.2"]]

    asyncio.run(scenario())


def http2_call() -> bytes:
    """The least HTTP/2 (RFC 9113) that makes one gRPC call: settings, headers, an empty message."""

    def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
        return (
            len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
            + payload
        )

    def literal(name: bytes, value: bytes) -> bytes:
        return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value

    headers = b"".join(
        literal(name, value)
        for name, value in (
            (b":method", b"POST"),
            (b":scheme", b"https"),
            (b":path", b"/test/Call"),
            (b":authority", b"bank-a"),
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
        )
    )
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    return preface + frame(4, 0, 0, b"") + frame(1, 4, 1, headers) + frame(0, 1, 1, bytes(5))


def test_message_caps_and_compression_are_in_force(tmp_path: Path) -> None:
    """A mistyped channel argument is ignored without a word, so the limits are tried."""
    bomb = bytes(64 << 20)

    async def scenario() -> None:
        async with serving(tmp_path / "a", B) as node:
            credentials = grpc.ssl_channel_credentials(
                node.card.certificate.encode(), B.tls_key.expose(), B.certificate
            )
            options = [("grpc.ssl_target_name_override", server_name("bank-a"))]
            address = node.card.endpoint
            async with grpc.aio.secure_channel(address, credentials, options=options) as hostile:
                gzip = {"compression": grpc.Compression.Gzip}
                assert await call(hostile, b"small" * 1000, **gzip) == "UNIMPLEMENTED"
                assert await call(hostile, bomb, **gzip) in ("UNIMPLEMENTED", "RESOURCE_EXHAUSTED")
                assert await call(hostile, bytes(MOST_MESSAGE_BYTES + 1)) == "RESOURCE_EXHAUSTED"
                assert len(node.seen) == 0
                assert await call(hostile, bytes(MOST_MESSAGE_BYTES)) == "acme"
                long = (("x-long", "x" * 40_000),)
                assert await call(hostile, metadata=long) == "RESOURCE_EXHAUSTED"
            async with open_channel(B, node.card) as channel:
                assert await call(channel, bytes(MOST_MESSAGE_BYTES + 1)) == "RESOURCE_EXHAUSTED"
                assert len(node.seen) == 1

    asyncio.run(scenario())


def test_two_nodes_do_not_share_a_port(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(tmp_path / "a", B) as node:
            second = grpc.aio.server(options=SERVER_OPTIONS)
            with pytest.raises(RuntimeError):
                second.add_secure_port(node.card.endpoint, server_credentials(A, node.store))

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({}, "peer-unknown"),
        ({"x509_pem_cert": [b"\xff"], "ssl_tls_version": [b"TLSv1.3"]}, "peer-unknown"),
        ({"x509_pem_cert": [B.certificate] * 2, "ssl_tls_version": [b"TLSv1.3"]}, "peer-unknown"),
        ({"x509_pem_cert": [C.certificate], "ssl_tls_version": [b"TLSv1.3"]}, "peer-unknown"),
        ({"x509_pem_cert": [B.certificate], "ssl_tls_version": [b"TLSv1.2"]}, "tls-version"),
        ({"x509_pem_cert": [B.certificate]}, "tls-version"),
    ],
)
def test_peer_of_refuses_whatever_is_not_one_trusted_certificate(
    tmp_path: Path, facts: dict[str, list[bytes]], code: str
) -> None:
    class Context:
        def auth_context(self) -> dict[str, list[bytes]]:
            return facts

    store = TrustStore(tmp_path, "bank-a")
    store.add(make_card(B, "127.0.0.1:1"))
    with pytest.raises(Refused) as caught:
        peer_of(Context(), store)
    assert caught.value.code == code
