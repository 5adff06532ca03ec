"""A pseudorandom generator: ChaCha20 (RFC 8439, section 2.4) under a labelled subkey."""

from __future__ import annotations

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from numpy.typing import NDArray

from mpc.hashing import derive_key

SEED_BYTES = 32
_MOST = 1 << 37  # bytes one stream can give: RFC 8439's block counter has 32 bits, 64 bytes a block


def expand(seed: bytes, label: str, *context: bytes, count: int) -> bytes:
    """``count`` pseudorandom bytes, a stream of its own for each (seed, label, context).

    ``seed`` is 32 uniformly random bytes that no peer knows, or knows only by design.
    Raises ``ValueError`` for a seed of another length, or a count past one stream.
    """
    if len(seed) != SEED_BYTES:
        raise ValueError(f"a seed has {SEED_BYTES} bytes, not {len(seed)}")
    if not 0 <= count <= _MOST:
        raise ValueError(f"one stream gives 0 to {_MOST} bytes, not {count}")
    # A fresh subkey for each stream, so that counter and nonce can start at zero.
    key = derive_key(seed, label, *context)
    return Cipher(ChaCha20(key, bytes(16)), mode=None).encryptor().update(bytes(count))


def permutation(seed: bytes, label: str, *context: bytes, count: int) -> NDArray[np.int64]:
    """A pseudorandom permutation of ``range(count)``, int64[count].

    Positions are sorted by 128-bit random keys; a tie, whose probability is below
    count² / 2^129, would be broken by position and costs a bias of that size.
    """
    keys = np.frombuffer(
        expand(seed, label, *context, count=16 * count), dtype=np.uint64
    ).reshape(count, 2)
    return np.lexsort((keys[:, 0], keys[:, 1]))
