"""The flooding noise: exact integers, uniform to the last bit, and their slots."""

from __future__ import annotations

import numpy as np
import pytest

from mpc.ckks.noise import flooding, slots_of

SEED = bytes(range(32))


def test_the_sum_of_both_halves_has_the_stated_deviation() -> None:
    high, low = flooding(SEED, degree=8192, bits=86, low_bits=43)
    values = np.ldexp(high.astype(float), 43 - 86) + np.ldexp(low.astype(float), -86)
    assert abs(values.mean()) < 0.06  # five standard errors
    assert abs(values.std() - 1) < 0.04
    assert np.abs(values).max() < 3


@pytest.mark.parametrize("bit", [0, 1, 10, 42])
def test_every_bit_of_the_low_half_is_fair(bit: int) -> None:
    """A double-encoded Gaussian of 2^86 would leave these at zero."""
    _, low = flooding(SEED, degree=8192, bits=86, low_bits=43)
    assert abs(int((low >> bit & 1).sum()) - 4096) < 5 * 46


def test_streams_are_named_by_seed_and_context() -> None:
    draw = [
        flooding(seed, *context, degree=64, bits=80, low_bits=40)
        for seed, context in [(SEED, ()), (SEED, (b"1",)), (SEED, (b"2",)), (bytes(32), ())]
    ]
    again = flooding(SEED, degree=64, bits=80, low_bits=40)
    assert np.array_equal(draw[0], again)
    for i in range(4):
        for j in range(i):
            assert (draw[i][0] != draw[j][0]).all()


def test_slots_are_the_polynomial_at_odd_roots_of_unity() -> None:
    degree = 16
    coefficients = np.random.default_rng(1).integers(-100, 100, degree)
    for index, value in enumerate(slots_of(coefficients)):
        root = np.exp(1j * np.pi * pow(3, index, 2 * degree) / degree)
        assert value == pytest.approx(sum(int(c) * root**k for k, c in enumerate(coefficients)))
