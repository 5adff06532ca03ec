"""Mutual TLS between nodes, with pinned certificates in place of an authority.

TLS alone is not identity: gRPC accepts whichever certificate its roots can verify, as any party.
So :func:`peer_of` looks up the presented certificate, byte for byte, on every call. It also demands
TLS 1.3: gRPC's Python interface has no setting for the lowest version (two nodes negotiate 1.3, a
client that insists on 1.2 gets a connection), so the version is read back from the connection and
calls over an older one are refused.
"""

from __future__ import annotations

import datetime
import ssl
from typing import Any, Final

import grpc

from parties.cards import Card
from parties.config import parse_endpoint
from parties.identity import Identity, server_name
from parties.trust import TrustStore
from protocols.errors import Refused

MOST_MESSAGE_BYTES: Final = 4 << 20
TLS_VERSION: Final = b"TLSv1.3"

_BOTH_ENDS: Final = (
    ("grpc.max_send_message_length", MOST_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MOST_MESSAGE_BYTES),
    # Bit 0 is "identity": compressed messages are refused, so none can blow up.
    ("grpc.compression_enabled_algorithms_bitset", 1),
    ("grpc.default_compression_algorithm", 0),
    # Gateways cut connections that are silent for a minute.
    ("grpc.keepalive_time_ms", 25_000),
    # What ends a connection whose peer stands still: keepalive_timeout_ms alone leaves it a minute.
    ("grpc.http2.ping_timeout_ms", 15_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
)
SERVER_OPTIONS: Final[tuple[tuple[str, int], ...]] = (
    *_BOTH_ENDS,
    # A second node on the same port is an error, not a lottery.
    ("grpc.so_reuseport", 0),
    ("grpc.max_concurrent_streams", 128),
    ("grpc.server_handshake_timeout_ms", 20_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
)
CHANNEL_OPTIONS: Final[tuple[tuple[str, int], ...]] = (
    *_BOTH_ENDS,
    # A proxy meant for browsers must not catch traffic between nodes.
    ("grpc.enable_http_proxy", 0),
    # Until its next attempt a channel fails every call: a partner that is back counts as down.
    ("grpc.initial_reconnect_backoff_ms", 250),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)


def server_credentials(identity: Identity, store: TrustStore) -> grpc.ServerCredentials:
    """Credentials that demand a client certificate out of ``store``, asked anew for each handshake.

    Whoever is removed from the store cannot connect any more; calls on connections that are open
    already are stopped by :func:`peer_of`.
    """

    def configuration() -> grpc.ServerCertificateConfiguration:
        trusted = "".join(card.certificate for card in store.current())
        # gRPC refuses an empty root list. Our own certificate lets nobody in but ourselves.
        roots = trusted.encode() or identity.certificate
        return grpc.ssl_server_certificate_configuration(
            [(identity.tls_key.expose(), identity.certificate)], root_certificates=roots
        )

    return grpc.dynamic_ssl_server_credentials(
        configuration(), configuration, require_client_authentication=True
    )


def open_channel(identity: Identity, card: Card) -> grpc.aio.Channel:
    """A channel to the party of ``card``: nobody without the key of its pinned certificate answers.

    It connects on first use.
    """
    host, port = parse_endpoint(card.endpoint)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=card.certificate.encode(),
        private_key=identity.tls_key.expose(),
        certificate_chain=identity.certificate,
    )
    target = f"dns:///[{host}]:{port}" if ":" in host else f"dns:///{host}:{port}"
    options = [*CHANNEL_OPTIONS, ("grpc.ssl_target_name_override", server_name(card.name))]
    return grpc.aio.secure_channel(target, credentials, options=options)


def peer_of(context: Any, store: TrustStore, now: datetime.datetime | None = None) -> Card:
    """Who is calling: the trusted party that owns the certificate of this connection.

    ``context`` is the servicer's context. Raises ``Refused`` (``parties.status`` makes it
    UNAUTHENTICATED) with ``tls-version``, ``peer-unknown`` or ``peer-expired``.
    """
    facts = context.auth_context()
    presented = facts.get("x509_pem_cert", ())
    card = store.by_certificate(_der(presented[0])) if len(presented) == 1 else None
    if card is None:
        raise Refused(store.me, "peer-unknown")
    if list(facts.get("ssl_tls_version", ())) != [TLS_VERSION]:
        raise Refused(store.me, "tls-version")
    if not card.is_current(now):
        raise Refused(store.me, "peer-expired")
    return card


def _der(pem: bytes) -> bytes:
    try:
        return ssl.PEM_cert_to_DER_cert(pem.decode("ascii"))
    except ValueError:
        return b""
