"""Two parties find their common items by X25519 Diffie-Hellman: what psi and score share.

Each item x becomes a curve point H(x); the parties hold secret scalars a and b, fresh for the
session, and compare tags of a·b·H(x). Meadows (IEEE S&P 1986) and Huberman, Franklin and Hogg
(EC 1999); semi-honest security under DDH in the random-oracle model, as in De Cristofaro and
Tsudik (FC 2010), section 4, without their blind signatures.

Both parties send their points in a secret random order. A party that may learn gets its own points
back, raised to the peer's scalar: in the order sent where it may learn rows, in an order known to
the peer alone where it may learn only how many.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpc.curve25519 import POINT_BYTES, exponentiate, tag_bytes, tags
from mpc.elligator2 import hash_to_curve
from mpc.errors import Malformed
from mpc.prg import SEED_BYTES, expand, permutation
from mpc.wire.v1.psi_ecdh_pb2 import SetSize
from protocols.errors import Misuse, PeerFault, blame
from protocols.role import Steps, compute, draw, fork, receive, report, send
from protocols.session import Session
from protocols.stream import Reader, Writer, receive_vector, send_vector

SECONDS_AN_ITEM = 90e-6
"""Of one core, for hashing, blinding and raising one item; see benchmarks/README.md."""
CHUNK = 4096
"""Points in one piece of work: a tenth of a second or so, and half a block on the wire."""

Points = NDArray[np.uint8]
"""uint8[n, 32]"""
Tags = NDArray[np.uint8]
"""uint8[n, width]"""


@dataclass(frozen=True)
class Terms:
    """What one party and its peer learn from matching; agreed in the plan.

    ``order_kept`` lets whoever learns know which of its rows match; otherwise only how many.
    """

    i_learn: bool
    peer_learns: bool
    order_kept: bool
    statistical_bits: int


@dataclass(frozen=True)
class Matches:
    """``rows``: positions of this party's common items, in the order of the shared tags (the same
    at both parties), or ``None`` where only ``count`` is learnt; both ``None`` for who learns
    nothing. ``peer_rows`` is the size of the peer's set.
    """

    rows: NDArray[np.int64] | None
    count: int | None
    peer_rows: int

    @property
    def learnt(self) -> NDArray[np.int64]:
        """``rows``, for terms under which this party learns them."""
        if self.rows is None:
            raise Misuse("rows-not-learnt")
        return self.rows


def match(session: Session, peer: str, items: NDArray[np.uint8], terms: Terms) -> Steps[Matches]:
    """Matches ``items``, distinct digests uint8[n, 16], with those of ``peer``."""
    plan = session.plan
    check_own_size(session, len(items))
    peer_rows = yield from _exchange_sizes(session, peer, len(items))

    seed = yield from draw(SEED_BYTES)
    scalar = expand(seed, "match/scalar", count=32)
    order = yield from compute(_secret_order, seed, "match/order", len(items))
    width = tag_bytes(plan.max_rows(session.me), plan.max_rows(peer), terms.statistical_bits)
    domain = session.domain("item", _pair(session, peer))
    tag_domain = session.domain("tag", _pair(session, peer))
    own = np.empty((len(items), 16), dtype=np.uint8)

    branches = (
        _send_points(peer, items[order], scalar, domain, own),
        _receive_points(peer, peer_rows, scalar, tag_domain, width, seed, terms),
        _receive_echo(peer, len(items), width, terms),
    )
    _, (peer_points, peer_tags), echo = yield from fork(*branches)
    with blame(peer):
        # A peer that sends our own points back would have us test our items against our items.
        yield from compute(_refuse_common, peer_points, own, "point-reflected")
        if echo is None:
            return Matches(None, None, peer_rows)
        yield from compute(_refuse_repeats, echo, "echo-repeated")
    found = yield from compute(_join, echo, peer_tags)
    if not terms.order_kept:
        return Matches(None, len(found), peer_rows)
    return Matches(order[found], len(found), peer_rows)


def check_own_size(session: Session, count: int) -> None:
    """Our own data must keep to the plan before anything of it leaves."""
    least, most = session.plan.min_rows(session.me), session.plan.max_rows(session.me)
    if not least <= count <= most:
        text = f"the dataset holds {count} distinct identifiers, the plan says {least} to {most}"
        raise Misuse("rows-outside-plan", text)


def _exchange_sizes(session: Session, peer: str, count: int) -> Steps[int]:
    yield from send(peer, "size", SetSize(count=count))
    size = yield from receive(peer, "size", SetSize)
    if not session.plan.min_rows(peer) <= size.count <= session.plan.max_rows(peer):
        raise PeerFault(peer, "set-outside-plan")
    return size.count


def _send_points(
    peer: str, items: NDArray[np.uint8], scalar: bytes, domain: bytes, own: NDArray[np.uint8]
) -> Steps[None]:
    """Sends scalar·H(item) for all items, and keeps the first half of each point in ``own``."""
    writer = Writer(peer, "points", POINT_BYTES, len(items))
    for first in range(0, len(items), CHUNK):
        points = yield from compute(blind, items[first : first + CHUNK], scalar, domain)
        own[first : first + CHUNK] = points[:, :16]
        yield from writer.write(points)
        yield from report("points", min(first + CHUNK, len(items)), len(items))
    if not len(items):
        yield from writer.write(np.empty((0, POINT_BYTES), dtype=np.uint8))


def blind(items: NDArray[np.uint8], scalar: bytes, domain: bytes) -> Points:
    """scalar·H(item), uint8[n, 32]."""
    return exponentiate(scalar, hash_to_curve(items, domain))


def _receive_points(
    peer: str, count: int, scalar: bytes, domain: bytes, width: int, seed: bytes, terms: Terms
) -> Steps[tuple[NDArray[np.uint8], Tags]]:
    """Raises the peer's points to our scalar; returns their first halves, and their tags.

    Where the peer may learn, it gets the tags: as they come, or all of them shuffled.
    """
    reader = Reader(peer, "points", POINT_BYTES, count)
    halves = np.empty((count, 16), dtype=np.uint8)
    ours = np.empty((count, width), dtype=np.uint8)
    echo = Writer(peer, "echo", width, count)
    streamed = terms.peer_learns and terms.order_kept
    done = 0
    while not reader.done:
        points = yield from reader.next()
        halves[done : done + len(points)] = points[:, :16]
        # Half a block at a time, so that both cores have work and progress shows.
        for first in range(0, len(points), CHUNK):
            with blame(peer):
                made = yield from compute(
                    raise_and_tag, points[first : first + CHUNK], scalar, domain, width
                )
            ours[done : done + len(made)] = made
            done += len(made)
            if streamed:
                yield from echo.write(made)
        yield from report("matching", done, count)
    with blame(peer):
        yield from compute(_refuse_repeats, ours, "point-repeated")
    if terms.peer_learns and not terms.order_kept:
        shuffle = yield from compute(_secret_order, seed, "match/echo", count)
        yield from send_vector(peer, "echo", ours[shuffle])
    elif streamed and not count:
        yield from echo.write(ours)
    return halves, ours


def raise_and_tag(points: Points, scalar: bytes, domain: bytes, width: int) -> Tags:
    """Tags of scalar·point; ``Malformed`` for a point that is none."""
    return tags(exponentiate(scalar, points), width, domain)


def _receive_echo(peer: str, count: int, width: int, terms: Terms) -> Steps[Tags | None]:
    if not terms.i_learn:
        return None
    return (yield from receive_vector(peer, "echo", width, count))


def _as_strings(tag_array: Tags) -> NDArray[np.bytes_]:
    """One fixed-width byte string a row: equal exactly where the rows are, and sortable."""
    width = tag_array.shape[1]
    return np.ascontiguousarray(tag_array).view(f"S{width}").ravel()


def _join(echo: Tags, peer_tags: Tags) -> NDArray[np.int64]:
    """Positions in ``echo`` of the tags that stand in both, in the order of the tags."""
    _, positions, _ = np.intersect1d(
        _as_strings(echo), _as_strings(peer_tags), assume_unique=True, return_indices=True
    )
    return positions.astype(np.int64)


def _refuse_repeats(tag_array: Tags, code: str) -> None:
    ordered = np.sort(_as_strings(tag_array))
    if (ordered[1:] == ordered[:-1]).any():
        raise Malformed(code)


def _refuse_common(theirs: NDArray[np.uint8], own: NDArray[np.uint8], code: str) -> None:
    if np.isin(_as_strings(theirs), _as_strings(own)).any():
        raise Malformed(code)


def _secret_order(seed: bytes, label: str, count: int) -> NDArray[np.int64]:
    return permutation(seed, label, count=count)


def _pair(session: Session, peer: str) -> bytes:
    """The two parties' keys in order: each pair of a session hashes to points of its own."""
    keys = sorted(session.plan.signing_key(name) for name in (session.me, peer))
    return b"".join(keys)
