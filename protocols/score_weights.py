"""score.weights: the querier's logistic regression over rows whose features others hold.

The querier finds common rows with every holder (``protocols.match``) and tells each which of them
all holders share, and their order. It encrypts its weights under a CKKS key made for this job; a
holder multiplies them with its feature columns, re-randomises, floods, rescales, masks against the
other holders, and returns one ciphertext for every 8,192 rows (``mpc.ckks``). The sum over all
holders decrypts; the querier adds its own part and the bias, and applies the sigmoid itself.

Adversary: semi-honest parties; every message is validated. Holders learn no score; the querier
learns the sum of the holders' parts of every logit, and with one holder that holder's part.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mpc.ckks.holder import partial_scores
from mpc.ckks.owner import check_weights, decrypt_scores, encrypt_weights, public_key
from mpc.ckks.parameters import Parameters
from mpc.ckks.wire import add_residues, decode_scores
from mpc.linear_model import LinearModel, partial_logit
from mpc.masking import StreamName, residue_masks
from mpc.prg import SEED_BYTES, expand
from mpc.wire.v1.score_weights_pb2 import AlignedRows, Feature, ScoreWeightsParameters
from protocols import score_terms as terms
from protocols.errors import Misuse, PeerFault, blame
from protocols.match import Matches, Terms, match
from protocols.role import Steps, compute, draw, each, read, receive, report, send
from protocols.score_terms import HOLDER, QUERIER, Scores, holders
from protocols.session import Session
from protocols.spec import Adversary, Spec
from protocols.stream import Reader, Writer, receive_vector, send_vector

CHUNKS = 2
"""Ciphertexts in one piece of work: a block on the wire."""
WORD = 8
NO_ROWS = np.empty(0, dtype=np.int64)


def _alignment(params: ScoreWeightsParameters) -> Terms:
    return Terms(
        i_learn=True,
        peer_learns=True,
        order_kept=True,
        statistical_bits=params.statistical_bits,
    )


def _ciphertext_bytes(parameters: Parameters) -> int:
    return 2 * parameters.degree * WORD


# The querier


def querier(session: Session, params: ScoreWeightsParameters) -> Steps[Scores]:
    plan = session.plan
    others = holders(plan)
    parameters = terms.proven(plan, params)
    proof = parameters.prove()
    model: LinearModel = yield from read("model")
    _check_model(session, params, model)
    items: NDArray[np.uint8] = yield from read("items")
    if model.of(session.me):  # a column that cannot be read shows before anybody is asked
        yield from _columns(len(model.of(session.me)), NO_ROWS)
    alignment = _alignment(params)
    found = yield from each([match(session, name, items, alignment) for name in others])
    rows = _shared_rows(found)
    yield from each(
        [_send_order(name, rows, matches) for name, matches in zip(others, found, strict=True)]
    )
    left_out = len(items) - len(rows)
    # What others' features lose by their means is the model's own business.
    offsets = sum(feature.offset for name in others for feature in model.of(name))
    logits = np.full(len(rows), model.bias + offsets)
    if len(rows):
        logits += yield from _holders_part(session, parameters, model, len(rows))
        own = model.of(session.me)
        if own:
            columns = yield from _columns(len(own), rows)
            logits += partial_logit(own, columns)
    order = np.argsort(rows)
    return Scores(
        rows[order], logits[order], len(rows), left_out, proof.logit_error, proof.score_error
    )


def _columns(count: int, rows: NDArray[np.int64]) -> Steps[NDArray[np.float64]]:
    """This party's own feature columns for these rows, float64[count, rows]."""
    columns: NDArray[np.float64] = yield from read("features", rows)
    if columns.shape != (count, len(rows)):
        raise Misuse("features-shape", f"{columns.shape} in place of {(count, len(rows))}")
    return columns


def _check_model(session: Session, params: ScoreWeightsParameters, model: LinearModel) -> None:
    """The plan's terms were made from this model; the proof holds for no other."""
    parameters = terms.proven(session.plan, params)
    for name in holders(session.plan):
        expected = [(f.column, f.unit_bits) for f in terms.features_of(session.plan, params, name)]
        if [(f.column, f.unit_bits) for f in model.of(name)] != expected:
            raise Misuse("score-model", "the model is not the one that the plan was made for")
    try:
        check_weights(parameters, *[_slopes(model, name) for name in holders(session.plan)])
    except ValueError as error:
        raise Misuse("score-model", str(error)) from error


def _slopes(model: LinearModel, name: str) -> NDArray[np.float64]:
    return np.array([feature.slope for feature in model.of(name)])


def _shared_rows(found: tuple[Matches, ...]) -> NDArray[np.int64]:
    """Our rows that every holder has, in the order of the first holder's shared tags."""
    first, *rest = (matches.learnt for matches in found)
    shared = np.ones(len(first), dtype=bool)
    for rows in rest:
        shared &= np.isin(first, rows)
    return first[shared]


def _send_order(name: str, rows: NDArray[np.int64], matches: Matches) -> Steps[None]:
    """Where each shared row stands among the rows matched with ``name``, which both know."""
    matched = matches.learnt
    places = np.full(int(matched.max(initial=-1)) + 1, -1, dtype=np.int64)
    places[matched] = np.arange(len(matched))
    order = places[rows].astype("<u4").view(np.uint8).reshape(-1, 4)
    yield from send(name, "aligned", AlignedRows(count=len(rows)))
    yield from send_vector(name, "aligned", order)


def _holders_part(
    session: Session, parameters: Parameters, model: LinearModel, rows: int
) -> Steps[NDArray[np.float64]]:
    """The sum of the holders' parts of the logits, float64[rows]."""
    others = holders(session.plan)
    seed = yield from draw(SEED_BYTES)
    secret = expand(seed, "score/secret", count=SEED_BYTES)
    public = yield from compute(public_key, parameters, secret)
    yield from each(
        [_send_weights(name, parameters, secret, seed, public, model) for name in others]
    )
    width = _ciphertext_bytes(parameters)
    chunks = -(-rows // parameters.rows_per_chunk)
    readers = {name: Reader(name, "scores", width, chunks) for name in others}
    parts = []
    for first in range(0, chunks, CHUNKS):
        count = min(CHUNKS, chunks - first)
        total: NDArray[np.uint64] | None = None
        for name, reader in readers.items():
            received = yield from reader.take(count)
            with blame(name):
                part = decode_scores(parameters, received.tobytes(), count)
            total = part if total is None else add_residues(parameters, total, part)
        here = min(rows - first * parameters.rows_per_chunk, count * parameters.rows_per_chunk)
        # A sum that does not decrypt is some holder's doing; which one, only one holder tells.
        with blame(others[0] if len(others) == 1 else "+".join(others)):
            parts.append((yield from compute(decrypt_scores, parameters, secret, total, here)))
        yield from report("scores", first + count, chunks)
    return np.concatenate(parts)


def _send_weights(
    name: str,
    parameters: Parameters,
    secret: bytes,
    seed: bytes,
    public: bytes,
    model: LinearModel,
) -> Steps[None]:
    own_seed = expand(seed, "score/weights", name.encode(), count=SEED_BYTES)
    weights = yield from compute(
        encrypt_weights, parameters, secret, own_seed, _slopes(model, name)
    )
    for lane, data in (("public-key", public), ("weights", weights)):
        yield from send_vector(name, lane, np.frombuffer(data, np.uint8).reshape(-1, WORD))


# The holders


def holder(session: Session, params: ScoreWeightsParameters) -> Steps[Scores]:
    plan = session.plan
    parameters = terms.proven(plan, params)
    features = terms.features_of(plan, params, session.me)
    yield from _columns(len(features), NO_ROWS)  # shows what cannot be read before anything is sent
    items: NDArray[np.uint8] = yield from read("items")
    matches = yield from match(session, plan.querier, items, _alignment(params))
    matched = matches.learnt
    order = yield from _receive_order(plan.querier, len(matched))
    rows = matched[order]
    if len(rows):
        yield from _answer(session, parameters, features, rows)
    proof = parameters.prove()
    left_out = len(items) - len(rows)
    return Scores(None, None, len(rows), left_out, proof.logit_error, proof.score_error)


def _receive_order(querier: str, matched: int) -> Steps[NDArray[np.int64]]:
    announced = yield from receive(querier, "aligned", AlignedRows)
    if announced.count > matched:
        raise PeerFault(querier, "aligned-too-many")
    raw = yield from receive_vector(querier, "aligned", 4, announced.count)
    order = raw.reshape(-1).view("<u4").astype(np.int64)
    if len(order) and (order.max() >= matched or len(np.unique(order)) != len(order)):
        raise PeerFault(querier, "aligned-order")
    return order


def _answer(
    session: Session, parameters: Parameters, features: list[Feature], rows: NDArray[np.int64]
) -> Steps[None]:
    """Sends this holder's masked part for every chunk of ``rows``."""
    querier = session.plan.querier
    key_words = (64 + len(parameters.primes) * parameters.degree * WORD) // WORD
    weight_words = (64 + 2 * parameters.degree * WORD) // WORD
    public = yield from receive_vector(querier, "public-key", WORD, key_words)
    weights = yield from receive_vector(querier, "weights", WORD, weight_words * len(features))
    seed = yield from draw(SEED_BYTES)
    roster = holders(session.plan)
    position = roster.index(session.me)
    pair_keys = {
        roster.index(name): session.pair_key(name, "masks") for name in roster if name != session.me
    }
    chunks = -(-len(rows) // parameters.rows_per_chunk)
    writer = Writer(querier, "scores", _ciphertext_bytes(parameters), chunks)
    for first in range(0, chunks, CHUNKS):
        start = first * parameters.rows_per_chunk
        here = rows[start : start + CHUNKS * parameters.rows_per_chunk]
        columns = normalised((yield from _columns(len(features), here)), features)
        with blame(querier):
            part = yield from compute(
                masked_part,
                parameters,
                public.tobytes(),
                weights.tobytes(),
                columns,
                seed,
                first,
                position,
                pair_keys,
            )
        yield from writer.write(part)
        yield from report("scores", first + len(part), chunks)


def normalised(columns: NDArray[np.float64], features: list[Feature]) -> NDArray[np.float64]:
    """float64[d, rows], clipped as the plan says and divided by the plan's units, in [-1, 1]."""
    made = np.empty_like(columns)
    for index, (column, feature) in enumerate(zip(columns, features, strict=True)):
        if feature.clipped:
            column = np.clip(column, feature.low, feature.high)
        made[index] = column / 2.0**feature.unit_bits
        beyond = int((~(np.abs(made[index]) <= 1)).sum())  # NaN is beyond, too
        if beyond:
            text = (
                f"column {feature.column!r} has {beyond} rows beyond the plan's bound of "
                f"2^{feature.unit_bits}; the model should clip it"
            )
            raise Misuse("feature-out-of-bounds", text)
    return made


def masked_part(
    parameters: Parameters,
    public: bytes,
    weights: bytes,
    columns: NDArray[np.float64],
    seed: bytes,
    first: int,
    position: int,
    pair_keys: Mapping[int, bytes],
) -> NDArray[np.uint8]:
    """One holder's ciphertexts for a block of rows, uint8[chunks, bytes], masked if others are."""
    residues = partial_scores(parameters, public, weights, columns, seed, first)
    if pair_keys:
        modulus = parameters.primes[0]
        name = StreamName("scores", 0, first)
        masks = residue_masks(position, pair_keys, modulus, residues.shape, name)
        residues = add_residues(parameters, residues, masks)
    return np.ascontiguousarray(residues.astype("<u8")).view(np.uint8).reshape(len(residues), -1)


SPEC = Spec(
    name="score.weights",
    revision=1,
    summary="logistic scoring under CKKS with encrypted weights",
    adversary=Adversary.SEMI_HONEST,
    options=frozenset({"min_rows", "statistical_bits"}),
    draft=terms.draft,
    parse=terms.parse,
    check=terms.check,
    roles={QUERIER: querier, HOLDER: holder},
    reveals=terms.reveals,
    output_to=terms.output_to,
    cohort=terms.cohort,
    cost=terms.cost,
    table=terms.table,
)
