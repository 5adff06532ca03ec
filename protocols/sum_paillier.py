"""sum.paillier: the total of several contributors' amounts for each key of the querier's list.

The querier sends its key list. For each key, contributors first send whether they hold it: only
keys that at least ``floor`` of them hold are summed, the others are withheld. Everything a
contributor sends is packed, masked against the other contributors' masks (``mpc.masking``) and
encrypted under the querier's key (``mpc.paillier``); the aggregator, a contributor itself,
multiplies the ciphertexts, re-randomises the products and passes them on. So the aggregator sees
ciphertexts alone, and the querier sums alone; together the two see sums still, because the masks
of two or more other contributors do not cancel.

Adversary: semi-honest parties; every message is validated. A contributor that lies about its own
amounts changes the sums by as much.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpc import paillier
from mpc.errors import Malformed
from mpc.hashing import labelled_hash
from mpc.keyed_digests import DIGEST_BYTES, keyed_digests
from mpc.masking import StreamName, mask_plaintexts
from mpc.packing import Packing
from mpc.paillier_keys import PublicKey, check_modulus, generate
from mpc.prg import SEED_BYTES, expand, permutation
from mpc.wire.v1.sum_paillier_pb2 import (
    KeyListSize,
    PaillierModulus,
    SumPaillierParameters,
    Told,
)
from protocols import sum_terms as terms
from protocols.errors import PeerFault, blame
from protocols.match import check_own_size
from protocols.role import Steps, compute, draw, each, fork, read, receive, report, send
from protocols.session import Session
from protocols.spec import Adversary, Spec
from protocols.stream import Reader, Writer, receive_vector, send_vector
from protocols.sum_passes import Pass, passes
from protocols.sum_terms import AGGREGATOR, CONTRIBUTOR, QUERIER, Sums, contributors

PIECE = 16
"""Ciphertexts that the querier decrypts in one piece of work, so that all its processes share."""


# The querier


def querier(session: Session, params: SumPaillierParameters) -> Steps[Sums]:
    plan = session.plan
    members = contributors(plan)
    made = passes(plan, params)
    items: NDArray[np.uint8] = yield from read("items")
    check_own_size(session, len(items))
    seed = yield from draw(SEED_BYTES)
    yield from report("keys", 0, 1)
    private = yield from compute(_make_key, params.key_bits, expand(seed, "sum/key", count=32))
    order, asked = yield from compute(_key_list, items, seed, session.public_key("key-list"))
    yield from report("keys", 1, 1)
    yield from each([_open(name, private.n, asked) for name in members])

    blinding = expand(seed, "sum/blinding", count=32)
    first = made("indicators", len(asked))
    counts = (yield from _collect(session, private, blinding, first)).astype(np.int64)
    passing = counts >= params.floor
    bitmap = np.packbits(passing, bitorder="little").reshape(-1, 1)
    yield from each([send_vector(name, "passing", bitmap) for name in members])
    second = made("amounts", int(passing.sum()))
    sums = yield from _collect(session, private, blinding, second)

    contributed = np.empty(len(items), dtype=np.int64)
    contributed[order] = counts
    totals: list[int | None] = [None] * len(items)
    for position, total in zip(order[passing].tolist(), sums.tolist(), strict=True):
        totals[position] = total
    return Sums(contributed, tuple(totals), len(items), second.count)


@dataclass(frozen=True)
class _Key:
    """The querier's key as bytes, for worker processes to decrypt with."""

    n: int
    factors: bytes

    def __repr__(self) -> str:
        return "_Key(…)"


def _key_list(
    items: NDArray[np.uint8], seed: bytes, key: bytes
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """The order in which keys are asked about, which is secret, and the list in that order."""
    order = permutation(seed, "sum/order", count=len(items))
    return order, keyed_digests(items[order], key)


def _make_key(bits: int, seed: bytes) -> _Key:
    private = generate(bits, seed)
    return _Key(int(private.public.n), private.to_bytes())


def _open(name: str, n: int, asked: NDArray[np.uint8]) -> Steps[None]:
    modulus = n.to_bytes((n.bit_length() + 7) // 8, "big")
    yield from send(name, "modulus", PaillierModulus(n=modulus))
    yield from send(name, "keys", KeyListSize(count=len(asked)))
    yield from send_vector(name, "keys", asked)


def _collect(
    session: Session, private: _Key, blinding: bytes, made: Pass
) -> Steps[NDArray[np.object_]]:
    """The sums of one pass, Python integers in object[count]."""
    members = contributors(session.plan)
    aggregator = members[0]
    width = 2 * private.n.bit_length() // 8
    reader = Reader(aggregator, made.step, width, made.ciphertexts)
    plaintexts: list[int] = []
    for block in made.blocks():
        ciphertexts = yield from reader.take(made.size(block))
        pieces = []
        for first in range(0, len(ciphertexts), PIECE):
            place = (made.first(block) + first).to_bytes(8, "big")
            seed = expand(blinding, made.step, place, count=32)
            pieces.append(_decrypt(aggregator, private, seed, ciphertexts[first : first + PIECE]))
        for piece in (yield from each(pieces)):
            plaintexts += piece
        yield from report(made.step, len(plaintexts), made.ciphertexts)
    if not made.ciphertexts:
        yield from reader.rest()
    # What no honest parts add up to is some contributor's doing, and only they know whose.
    with blame("+".join(members)):
        return made.packing.unpack(plaintexts, made.count, len(members))


def _decrypt(
    aggregator: str, private: _Key, seed: bytes, ciphertexts: NDArray[np.uint8]
) -> Steps[list[int]]:
    data, count = ciphertexts.tobytes(), len(ciphertexts)
    with blame(aggregator):
        return (yield from compute(paillier.decrypt_block, private.factors, seed, data, count))


# The contributors


@dataclass(frozen=True)
class _Contribution:
    """What a contributor needs for every block."""

    public: PublicKey
    seed: bytes
    ciphertexts: int
    position: int
    pair_keys: Mapping[int, bytes]

    def __repr__(self) -> str:
        return "_Contribution(…)"


def contributor(session: Session, params: SumPaillierParameters) -> Steps[Sums]:
    """Both contributors and the aggregator, who is one of them."""
    plan = session.plan
    made = passes(plan, params)
    digests: NDArray[np.uint8]
    amounts: NDArray[np.int64]
    digests, amounts = yield from read("amounts", params.decimals)
    check_own_size(session, len(digests))
    public = yield from _receive_modulus(plan.querier, params.key_bits)
    asked = yield from _receive_keys(session)
    places = yield from compute(_locate, asked, digests, session.public_key("key-list"))
    held = places >= 0
    values = np.zeros(len(asked), dtype=np.int64)
    values[held] = amounts[places[held]]

    first = made("indicators", len(asked))
    contribution = _Contribution(
        public=public,
        seed=(yield from draw(SEED_BYTES)),
        # The table of powers is made for the whole job, which the floor may shorten.
        ciphertexts=first.ciphertexts + made("amounts", len(asked)).ciphertexts,
        position=plan.position(session.me) - 1,
        pair_keys={
            plan.position(name) - 1: session.pair_key(name, "masks")
            for name in contributors(plan)
            if name != session.me
        },
    )
    # A querier that tells us apart by giving us different lists must get nothing for it: masks
    # are named after the lists, and cancel only where all contributors were told the same.
    told = labelled_hash("sum/keys", asked.tobytes())
    yield from _compare(session, told)
    indicators = held.astype(np.int64)
    yield from _contribute(session, contribution, indicators, first, told, 0)
    bitmap = yield from receive_vector(plan.querier, "passing", 1, -(-len(asked) // 8))
    bits = np.unpackbits(bitmap.ravel(), bitorder="little")
    if bits[len(asked) :].any():
        raise PeerFault(plan.querier, "passing-padding")
    passing = bits[: len(asked)].astype(bool)
    second = made("amounts", int(passing.sum()))
    told = labelled_hash("sum/passing", told, bitmap.tobytes())
    yield from _compare(session, told)
    offset = len(first.blocks())
    yield from _contribute(session, contribution, values[passing], second, told, offset)
    return Sums(None, None, len(asked), second.count)


def _compare(session: Session, told: bytes) -> Steps[None]:
    """Contributors tell the aggregator what they were told: by whom it differs, it can say."""
    aggregator, *others = contributors(session.plan)
    if session.me != aggregator:
        yield from send(aggregator, "told", Told(digest=told))
        return
    for name in others:
        message = yield from receive(name, "told", Told)
        if message.digest != told:
            raise PeerFault(f"{session.plan.querier}+{name}", "told-differently")


def _receive_modulus(querier: str, bits: int) -> Steps[PublicKey]:
    message = yield from receive(querier, "modulus", PaillierModulus)
    with blame(querier):
        if len(message.n) != bits // 8:
            raise Malformed("modulus-size")
        return (yield from compute(check_modulus, int.from_bytes(message.n, "big"), bits))


def _receive_keys(session: Session) -> Steps[NDArray[np.uint8]]:
    querier = session.plan.querier
    size = yield from receive(querier, "keys", KeyListSize)
    if not session.plan.min_rows(querier) <= size.count <= session.plan.max_rows(querier):
        raise PeerFault(querier, "set-outside-plan")
    asked = yield from receive_vector(querier, "keys", DIGEST_BYTES, size.count)
    if len(np.unique(_as_strings(asked))) != len(asked):
        raise PeerFault(querier, "key-repeated")
    return asked


def _as_strings(digests: NDArray[np.uint8]) -> NDArray[np.bytes_]:
    return np.ascontiguousarray(digests).view(f"S{DIGEST_BYTES}").ravel()


def _locate(asked: NDArray[np.uint8], digests: NDArray[np.uint8], key: bytes) -> NDArray[np.int64]:
    """Where each asked key stands in ``digests``, int64[len(asked)], -1 where it does not."""
    own = _as_strings(keyed_digests(digests, key))
    places = np.full(len(asked), -1, dtype=np.int64)
    _, in_asked, in_own = np.intersect1d(_as_strings(asked), own, return_indices=True)
    places[in_asked] = in_own
    return places


def _contribute(
    session: Session,
    contribution: _Contribution,
    values: NDArray[np.int64],
    made: Pass,
    told: bytes,
    offset: int,
) -> Steps[None]:
    """Sends this party's part of one pass, or adds up everybody's where it is the aggregator.

    ``told`` stands for what the querier has said that all contributors must have heard alike.
    """
    members = contributors(session.plan)
    aggregating = session.me == members[0]
    width = contribution.public.width
    target = session.plan.querier if aggregating else members[0]
    writer = Writer(target, made.step, width, made.ciphertexts)
    readers = {
        name: Reader(name, made.step, width, made.ciphertexts)
        for name in (members[1:] if aggregating else ())
    }
    for block in made.blocks():
        work = compute(
            encrypt_part, contribution, made.packing, made.values(values, block),
            StreamName(f"{made.step}/{told.hex()}", 0, block), offset + block,
        )  # fmt: skip
        takes = [reader.take(made.size(block)) for reader in readers.values()]
        part, *others = yield from fork(work, *takes)
        if aggregating:
            part = yield from _aggregate(
                contribution, part, dict(zip(readers, others, strict=True)), offset + block
            )
        yield from writer.write(np.frombuffer(part, dtype=np.uint8).reshape(-1, width))
        yield from report(made.step, made.first(block) + made.size(block), made.ciphertexts)
    if not made.ciphertexts:
        for reader in readers.values():
            yield from reader.rest()
        yield from writer.write(np.empty((0, width), dtype=np.uint8))


def encrypt_part(
    contribution: _Contribution,
    packing: Packing,
    values: NDArray[np.int64],
    name: StreamName,
    block: int,
) -> bytes:
    """One block of a contributor's values: packed, masked, encrypted."""
    c = contribution
    masked = mask_plaintexts(packing.pack(values), c.position, c.pair_keys, packing.row_bits, name)
    return paillier.encrypt_block(c.public, c.seed, c.ciphertexts, True, block, masked)


def _aggregate(
    contribution: _Contribution, own: bytes, others: Mapping[str, NDArray[np.uint8]], block: int
) -> Steps[bytes]:
    """The position-by-position sum of all parts, under randomness that no contributor knows."""
    total = own
    for name, part in others.items():
        with blame(name):
            total = yield from compute(
                paillier.add_block, contribution.public, total, part.tobytes(), len(part)
            )
    c = contribution
    return (
        yield from compute(
            paillier.rerandomise_block, c.public, c.seed, c.ciphertexts, True, block, total
        )
    )


SPEC = Spec(
    name="sum.paillier",
    revision=1,
    summary="exact totals by Paillier encryption with cancelling masks",
    adversary=Adversary.SEMI_HONEST,
    options=frozenset({"amount", "floor", "decimals", "key_bits", "min_rows"}),
    draft=terms.draft,
    parse=terms.parse,
    check=terms.check,
    roles={QUERIER: querier, AGGREGATOR: contributor, CONTRIBUTOR: contributor},
    reveals=terms.reveals,
    output_to=terms.output_to,
    cohort=terms.cohort,
    cost=terms.cost,
    table=terms.table,
)
