"""Item digests under a key: recognisable to whoever holds both the key and the item."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

DIGEST_BYTES = 16


def keyed_digests(items: NDArray[np.uint8], key: bytes) -> NDArray[np.uint8]:
    """uint8[n, w] -> uint8[n, 16]: keyed BLAKE2b (RFC 7693, section 2.9) of every row.

    Whoever has the key can test guesses: this is no protection of ``items`` against the key's
    holders, only against everybody else.
    """
    made = b"".join(
        blake2b(row, digest_size=DIGEST_BYTES, key=key).digest() for row in _rows(items)
    )
    return np.frombuffer(made, dtype=np.uint8).reshape(len(items), DIGEST_BYTES)


def _rows(items: NDArray[np.uint8]) -> list[bytes]:
    data, width = items.tobytes(), items.shape[1]
    return [data[i : i + width] for i in range(0, len(data), width)]
