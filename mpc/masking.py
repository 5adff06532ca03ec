"""Pairwise cancelling masks.

Contributors i and j of a roster share a 32-byte key for this session. For every block of every
pass, i adds the stream that the key gives and j, who stands later, subtracts the same stream.
Over the full roster all streams cancel; the sum of any proper subset is uniformly random to
whoever lacks the keys between that subset and the rest (Bonawitz et al., CCS 2017, section 4,
without its dropout recovery).

A stream is named by step, pass, block and everything that shapes it (modulus, length), and no
name may ever be used twice under one key for different data: equal streams cancel by
subtraction and would bare the difference of what they hid.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpc.prg import expand


@dataclass(frozen=True)
class StreamName:
    """Which part of a session a stream serves: a protocol step, a pass over it, a block."""

    step: str
    pass_number: int
    block: int

    def parts(self) -> tuple[bytes, ...]:
        """The name as context for labelled derivation; numbers below 2^64."""
        return (
            self.step.encode(),
            self.pass_number.to_bytes(8, "big"),
            self.block.to_bytes(8, "big"),
        )


def mask_plaintexts(
    plaintexts: Sequence[int],
    position: int,
    pair_keys: Mapping[int, bytes],
    row_bits: int,
    name: StreamName,
) -> list[int]:
    """Each plaintext plus this contributor's mask, modulo 2^row_bits.

    ``plaintexts`` lie in [0, 2^row_bits); the whole row of slots is masked as one integer,
    because masks added slot by slot overflow into the neighbouring slots. ``position`` is the
    contributor's place in the roster, ``pair_keys`` the 32-byte key shared with the contributor
    at every other place. Raises ``ValueError`` when a key is missing.
    """
    _check_roster(position, pair_keys)
    width = -(-row_bits // 8)
    mask = (1 << row_bits) - 1
    shape = (row_bits.to_bytes(8, "big"), len(plaintexts).to_bytes(8, "big"))
    masked = [int(plaintext) for plaintext in plaintexts]
    for peer, key in pair_keys.items():
        context = (*name.parts(), *shape)
        stream = expand(key, "masking/plaintext", *context, count=width * len(masked))
        sign = 1 if peer > position else -1
        for index in range(len(masked)):
            part = stream[index * width : (index + 1) * width]
            masked[index] += sign * int.from_bytes(part, "little")
    return [total & mask for total in masked]


def residue_masks(
    position: int,
    pair_keys: Mapping[int, bytes],
    modulus: int,
    shape: tuple[int, ...],
    name: StreamName,
) -> NDArray[np.uint64]:
    """This contributor's mask for residues: uint64[shape], each uniform modulo ``modulus``.

    2 <= modulus < 2^63. Added to everyone's residues (the coefficients of an RLWE ciphertext
    modulo one of its primes) the masks of the full roster cancel modulo ``modulus``. Rejection
    sampling leaves no bias. Raises ``ValueError`` when a key is missing.
    """
    _check_roster(position, pair_keys)
    if not 2 <= modulus < 1 << 63:
        raise ValueError("the modulus lies in [2, 2^63)")
    q = np.uint64(modulus)
    total = np.zeros(math.prod(shape), np.uint64)
    for peer, key in pair_keys.items():
        stream = _uniform(key, modulus, total.size, name)
        total += stream if peer > position else q - stream
        # Below 2q the wrapped difference is the larger one exactly when no reduction is due.
        total = np.minimum(total, total - q)
    return total.reshape(shape)


def _uniform(key: bytes, modulus: int, count: int, name: StreamName) -> NDArray[np.uint64]:
    """``count`` values uniform in [0, modulus): draw ``bit_length`` bits, redraw what is over."""
    bits = (modulus - 1).bit_length()
    shape = (modulus.to_bytes(8, "big"), count.to_bytes(8, "big"))
    values = np.empty(count, np.uint64)
    wanting = np.arange(count)
    attempt = 0
    while wanting.size:
        context = (*name.parts(), *shape, attempt.to_bytes(8, "big"))
        octets = expand(key, "masking/residue", *context, count=8 * wanting.size)
        drawn = np.frombuffer(octets, "<u8") >> np.uint64(64 - bits)
        values[wanting] = drawn
        wanting = wanting[drawn >= modulus]
        attempt += 1
    return values


def _check_roster(position: int, pair_keys: Mapping[int, bytes]) -> None:
    # A gap would leave masks that do not cancel; an empty roster would leave no mask at all.
    others = set(range(len(pair_keys) + 1)) - {position}
    if not pair_keys or set(pair_keys) != others:
        raise ValueError("a key is needed for every other place in the roster, and no more")
