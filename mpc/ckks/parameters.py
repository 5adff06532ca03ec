"""What one scoring job needs of CKKS, and the proof that its parameters give it.

Notation: N the ring's degree, q0·q1 the ciphertext modulus (q1 is dropped by the one rescale),
w and f the bits of the weights' and the features' scale, F those of the flooding noise, L the
bound on |logit|, d features a holder, C chunks answered under one key, λ statistical bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, log, log2, prod, sqrt

SCORE_ERROR_LIMIT = 1e-4
_LARGEST_ERROR = 21  # SEAL's centred binomial errors: 42 fair signs of 1/2 each
_ERROR_VARIANCE = 21 / 2
_SECURE_BITS = {4096: 109, 8192: 218, 16384: 438}  # 128 bits, ternary secret: HE standard 2018
_MOST_FLOODING_BITS = 91  # both halves of the noise must pass a double's FFT unharmed


@dataclass(frozen=True)
class Proof:
    """What :meth:`Parameters.prove` has shown; all but certain quantities hold except with
    probability 2^-λ each, over all rows of the job.

    ``logit_error`` bounds |decrypted - exact| of the summed partial logit in every row,
    ``score_error`` the same after the sigmoid, whose slope is at most 1/4.
    ``product_noise_bits`` is the worst coefficient, before the rescale, of what flooding hides;
    ``spare_flooding_bits`` is what flooding has beyond what λ asks for.
    """

    logit_error: float
    score_error: float
    product_noise_bits: float
    spare_flooding_bits: float


@dataclass(frozen=True)
class Parameters:
    """Public parameters of one job; part of the plan, equal on every side.

    ``primes`` are q0 and q1. ``logit_bound`` bounds the sum over *all* holders of the absolute
    weights, features being normalised to [-1, 1].
    """

    weight_scale_bits: int
    feature_scale_bits: int
    flooding_bits: int
    features: int
    chunks: int
    holders: int
    logit_bound: float
    statistical_bits: int = 40
    degree: int = 8192
    primes: tuple[int, int] = (1152921504606683137, 1152921504606748673)

    @property
    def rows_per_chunk(self) -> int:
        """Two rows a complex slot, since weights are real: N rows in N/2 slots."""
        return self.degree

    @property
    def scale(self) -> float:
        """Scale of what a holder returns, as SEAL computes it: 2^(w+f) / q1."""
        return 2.0 ** (self.weight_scale_bits + self.feature_scale_bits) / float(self.primes[1])

    def _tail(self, events: float) -> float:
        """t such that ``events`` sub-Gaussian values all stay within t·σ except w.p. 2^-λ."""
        return sqrt(2 * log(2) * (self.statistical_bits + 1 + log2(events)))

    @property
    def _zero_noise(self) -> float:
        """Worst coefficient of u·e + e0 + s·e1, the noise of a fresh encryption of zero."""
        return _LARGEST_ERROR * (2 * self.degree + 1)

    @property
    def _product_sigma(self) -> float:
        """Sub-Gaussian σ of a coefficient of Σ_j p_j·e_j, for any features in [-1, 1].

        |slot| ≤ √2·2^f gives ‖p_j‖₂ ≤ √2·2^f, plus √N/2 for rounding; the d·N errors are
        independent.
        """
        norm = sqrt(2) * 2.0**self.feature_scale_bits + sqrt(self.degree) / 2
        return sqrt(_ERROR_VARIANCE * self.features) * norm

    @property
    def _worst_noise(self) -> float:
        """Worst coefficient of what must not show: product noise, and the fresh zero's own.

        The latter says something of the randomness that hides the second component.
        """
        tail = self._tail(self.degree * self.chunks)
        return self._product_sigma * tail + self._zero_noise

    @property
    def _needed_flooding_bits(self) -> float:
        """log2 of the σ that hides the noise of all chunks together to 2^-λ.

        Noise with Fisher information I per coefficient, moved by the vector t, is within
        statistical distance √I·‖t‖₂/2 of itself (Hellinger distances add over coordinates and
        grow at most linearly along t). For the sum of three uniforms √I < 1.07/σ (their
        density is a quadratic spline), and ‖t‖₂ ≤ √(N·C)·max|t|: so λ + ½·log2(N·C) bits above
        the worst coefficient suffice, with almost one to spare. Chunks enter by half their
        logarithm, as coefficients do: to the distance they are more coordinates.
        """
        spread = log2(self.degree * self.chunks) / 2
        return self.statistical_bits + spread + log2(self._worst_noise)

    @property
    def _logit_error(self) -> float:
        """Bound on the error of one logit, over all rows of the job.

        Rounding a column moves a slot by at most N/2 (worst case, not on average); random
        terms are sub-Gaussian with variance N/2 a slot and add over holders; the carrier of
        the noise's upper half, the fresh zero and the rescale's rounding enter at their worst.
        """
        n, holders = self.degree, self.holders
        scale = 2.0 ** (self.weight_scale_bits + self.feature_scale_bits)
        encoding = self.logit_bound * (n / 2 * 2.0**-self.feature_scale_bits + 2.0**-40)
        encoding += self.features * holders * 2.0**-self.weight_scale_bits
        sigma = sqrt((4.0**self.flooding_bits + self._product_sigma**2) * holders * n / 2)
        random = sigma * self._tail(n * self.chunks) / scale
        fixed = holders * n * self._zero_noise * (1 + 2.0**self.low_bits) / scale
        rescale = holders * n * (1 + n) / 2 / self.scale
        return encoding + random + fixed + rescale

    @property
    def low_bits(self) -> int:
        """Bits of the flooding noise's lower half (see :mod:`mpc.ckks.noise`)."""
        return (self.flooding_bits + 1) // 2

    def prove(self) -> Proof:
        """Show that range, hiding and precision hold.

        Raises ``ValueError`` that names what is missing, in bits, where one does not.
        """
        if min(self.features, self.chunks, self.holders) < 1 or not self.logit_bound > 0:
            raise ValueError("features, chunks, holders and the logit bound are positive")
        if self.statistical_bits < 40:
            raise ValueError(f"{40 - self.statistical_bits} statistical bits missing of 40")
        excess = log2(prod(self.primes)) - _SECURE_BITS.get(self.degree, 0)
        if excess > 0:
            raise ValueError(f"a modulus {excess:.1f} bits too large for 128-bit security")
        if self.flooding_bits > _MOST_FLOODING_BITS:
            raise ValueError(
                f"flooding of 2^{self.flooding_bits} is {self.flooding_bits - _MOST_FLOODING_BITS}"
                " bits more than can be drawn exactly: fewer rows, or a smaller logit bound"
            )
        missing = self._needed_flooding_bits - self.flooding_bits
        if missing > 0:
            raise ValueError(f"flooding lacks {missing:.1f} bits")
        # A coefficient is an average of slots, and a slot holds two logits: |m| ≤ √2·L.
        error = self._logit_error
        largest = sqrt(2) * (self.logit_bound + error) * self.scale
        over = log2(largest / (self.primes[0] / 2))
        if over >= 0:
            raise ValueError(f"the modulus lacks {max(over, 0.1):.1f} bits for this logit bound")
        if error / 4 > SCORE_ERROR_LIMIT:
            raise ValueError(
                f"precision lacks {log2(error / 4 / SCORE_ERROR_LIMIT):.1f} bits: fewer rows"
                " under one key, fewer features, or a smaller logit bound"
            )
        return Proof(error, error / 4, log2(self._worst_noise), -missing)


def plan_parameters(
    features_per_holder: int,
    rows: int,
    logit_bound: float,
    holders: int,
    statistical_bits: int = 40,
) -> Parameters:
    """The parameters with the smallest proven error for this job.

    ``features_per_holder`` is the most any holder has, ``rows`` all rows answered under the
    key. The modulus fixes w + f; a finer feature scale costs as much in flooding as it gains
    in rounding, so every split is tried. Raises ``ValueError`` naming the bits missing.
    """
    if min(features_per_holder, rows, holders) < 1 or not 0 < logit_bound < 2.0**40:
        raise ValueError("features, rows, holders and the logit bound are positive")
    frame = Parameters(0, 0, 0, features_per_holder, 1, holders, logit_bound, statistical_bits)
    chunks = ceil(rows / frame.rows_per_chunk)
    half = frame.primes[0] * frame.primes[1] / 2
    total = floor(log2(half / (sqrt(2) * (logit_bound + 2.0**-10))))

    def split(feature_bits: int) -> Parameters:
        def flooded(bits: int) -> Parameters:
            return Parameters(
                total - feature_bits, feature_bits, bits, features_per_holder, chunks, holders,
                logit_bound, statistical_bits,
            )  # fmt: skip

        return flooded(ceil(flooded(0)._needed_flooding_bits))

    best = min((split(bits) for bits in range(20, 41)), key=lambda each: each._logit_error)
    best.prove()
    return best
