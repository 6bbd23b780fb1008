"""Random numbers of the weight search, addressed by round and draw, and the weights that they propose.

The generator is Philox4x32-10 (Salmon 2011): a number is a function of its address. So any draw can be made alone,
ahead of time, in any order and in any number of threads, and a search still sees the numbers of the one-by-one
procedure. Only IEEE additions, multiplications and square roots are used, so a seed means the same on every machine.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ensembles.fusion.base import member_sum, rescale
from ensembles.fusion.solvers.compiled import compiled

Floats = NDArray[np.float32]
Words = NDArray[np.uint32]

Kind = Literal["uniform", "gaussian", "symmetric"]
KINDS: dict[Kind, int] = {"uniform": 0, "gaussian": 1, "symmetric": 2}

_LOW, _SHIFT = np.uint64(0xFFFFFFFF), np.uint64(32)
MULTIPLIERS, WEYL = (0xD2511F53, 0xCD9E8D57), (0x9E3779B9, 0xBB67AE85)
_MULTIPLY_0, _MULTIPLY_1 = np.uint64(MULTIPLIERS[0]), np.uint64(MULTIPLIERS[1])
_WEYL_0, _WEYL_1 = np.uint64(WEYL[0]), np.uint64(WEYL[1])

# Chebyshev fits with errors below 4e-8: ln(m) on [1, 2) in m - 1.5; sin(2 pi t) / t and cos(2 pi t) on [-1/2, 1/2]
# in t * t.
LN = tuple(
    np.float32(c)
    for c in (0.405465104, 0.666666166, -0.222221368, 0.0987917516, -0.0494096183, 0.0259673295, -0.014338342,
              0.0102438286, -0.00615147096)
)  # fmt: skip
SIN = tuple(
    np.float32(c) for c in (6.2831853, -41.3417004, 81.6051314, -76.7030154, 42.025927, -14.8998467, 3.23813751)
)
COS = tuple(
    np.float32(c) for c in (0.999999989, -19.7392045, 64.9391175, -85.4501395, 60.167631, -25.9675992, 6.52865816)
)
_LN2, _HALF, _MIDDLE = np.float32(np.log(2)), np.float32(0.5), np.float32(1.5)
_ZERO, _ONE, _TWO = np.float32(0), np.float32(1), np.float32(2)
_UNIT_24, _UNIT_32 = np.float32(2.0**-24), np.float32(2.0**-32)


class Noise:
    """Numbers uniform on [0, 1), standard normal, or uniform on [-1, 1) (`symmetric`), for weights (M, C)."""

    def __init__(self, seed: int, M: int, C: int):
        words = np.random.SeedSequence(seed).generate_state(2, np.uint32).astype(np.uint64)
        self.key_0, self.key_1 = words[0], words[1]
        self.shape = M, C

    def draws(self, kind: Kind, round_: int, first: int, count: int, attempt: int = 0) -> np.ndarray:
        """(count, M, C) float32 numbers of the draws first, first + 1, ... of a round.

        `attempt` 0 is the draw itself; 1, 2, ... are for the classes whose weights all came out 0 and are drawn again.
        """
        M, C = self.shape
        n_quads = -(-M * C // 4)
        out = np.empty((4 * n_quads, count), np.float32)
        _fill(KINDS[kind], self.key_0, self.key_1, round_, attempt, first, 0, out, np.empty((4, count), np.uint32))
        return out[: M * C].reshape(C, M, count).transpose(2, 1, 0)

    def propose(
        self, kind: Kind, round_: int, first: int, centre: np.ndarray, sigma: float, weights: np.ndarray
    ) -> None:
        """Write the weights that the draws first, first + 1, ... stand for, as `weights_of` has them, in float32.

        `weights` (chunks, C, M, lanes) holds chunks * lanes draws. `centre` (M, C) and `sigma` are those of local
        steps; sigma 0 takes the numbers themselves.
        """
        keys = KINDS[kind], self.key_0, self.key_1
        _propose(*keys, round_, first, np.ascontiguousarray(centre.T), sigma, weights)

    def weights_of(self, kind: Kind, round_: int, draw: int, centre: np.ndarray, sigma: float) -> np.ndarray:
        """The weights (M, C) float64 that one draw stands for: cut to 0, drawn again where empty, rescaled."""

        def step(attempt: int) -> np.ndarray:
            numbers = self.draws(kind, round_, draw, 1, attempt)[0].astype(np.float64)
            return np.maximum(centre + sigma * numbers, 0) if sigma > 0 else numbers

        weights, attempt = step(0), 0
        while (empty := member_sum(weights) == 0).any():
            attempt += 1
            weights = np.where(empty, step(attempt), weights)
        return rescale(weights)


@compiled
def _fill(
    kind: int,
    key_0: np.uint64,
    key_1: np.uint64,
    round_: int,
    attempt: int,
    first: int,
    first_quad: int,
    out: Floats,
    bits: Words,
) -> None:
    """Fill `out` (4 Q, W) with numbers first_quad * 4 ... of W draws; `bits` (4, W) uint32 is scratch.

    The numbers of a draw are ordered by class, then by member.
    """
    for q in range(out.shape[0] // 4):
        _philox(first, first_quad + q, round_, attempt, key_0, key_1, bits)
        rows = out[4 * q : 4 * q + 4]
        if kind == 1:
            _gaussian(bits[0], bits[1], rows[0], rows[1])
            _gaussian(bits[2], bits[3], rows[2], rows[3])
        else:
            for j in range(4):
                _uniform(bits[j], rows[j], kind == 2)


@compiled
def _mix(
    c0: np.uint64, c1: np.uint64, c2: np.uint64, c3: np.uint64, key_0: np.uint64, key_1: np.uint64
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    a, b = _MULTIPLY_0 * c0, _MULTIPLY_1 * c2
    return (b >> _SHIFT) ^ c1 ^ key_0, b & _LOW, (a >> _SHIFT) ^ c3 ^ key_1, a & _LOW


@compiled
def _philox(first: int, quad: int, round_: int, attempt: int, key_0: np.uint64, key_1: np.uint64, bits: Words) -> None:
    """Four words for each of W draws, from the counter (draw, quad, round, attempt)."""
    keys_0, keys_1 = np.empty(10, np.uint64), np.empty(10, np.uint64)
    for r in range(10):
        keys_0[r], keys_1[r] = key_0, key_1
        key_0, key_1 = (key_0 + _WEYL_0) & _LOW, (key_1 + _WEYL_1) & _LOW
    k0, k1, k2, k3, k4 = keys_0[0], keys_0[1], keys_0[2], keys_0[3], keys_0[4]
    k5, k6, k7, k8, k9 = keys_0[5], keys_0[6], keys_0[7], keys_0[8], keys_0[9]
    l0, l1, l2, l3, l4 = keys_1[0], keys_1[1], keys_1[2], keys_1[3], keys_1[4]
    l5, l6, l7, l8, l9 = keys_1[5], keys_1[6], keys_1[7], keys_1[8], keys_1[9]
    start, q, u, v = np.uint64(first), np.uint64(quad), np.uint64(round_), np.uint64(attempt)
    bits_0, bits_1, bits_2, bits_3 = bits[0], bits[1], bits[2], bits[3]
    for i in range(bits.shape[1]):
        # Ten rounds written out: a loop here would keep the compiler from doing eight draws at once.
        a, b, c, d = _mix(start + np.uint64(i), q, u, v, k0, l0)
        a, b, c, d = _mix(a, b, c, d, k1, l1)
        a, b, c, d = _mix(a, b, c, d, k2, l2)
        a, b, c, d = _mix(a, b, c, d, k3, l3)
        a, b, c, d = _mix(a, b, c, d, k4, l4)
        a, b, c, d = _mix(a, b, c, d, k5, l5)
        a, b, c, d = _mix(a, b, c, d, k6, l6)
        a, b, c, d = _mix(a, b, c, d, k7, l7)
        a, b, c, d = _mix(a, b, c, d, k8, l8)
        a, b, c, d = _mix(a, b, c, d, k9, l9)
        bits_0[i], bits_1[i], bits_2[i], bits_3[i] = np.uint32(a), np.uint32(b), np.uint32(c), np.uint32(d)


@compiled
def _uniform(bits: Words, out: Floats, symmetric: bool) -> None:
    for i in range(len(out)):
        u = np.float32(bits[i] >> np.uint32(8)) * _UNIT_24
        out[i] = _TWO * u - _ONE if symmetric else u


@compiled
def _gaussian(bits_0: Words, bits_1: Words, out_0: Floats, out_1: Floats) -> None:
    """Box and Muller: a radius from one word, an angle from the other, two normal numbers."""
    for i in range(len(out_0)):
        x = np.float32(bits_0[i]) + _HALF  # never 0; the largest radius is 6.8
        word = np.float32(x).view(np.int32)
        exponent = np.float32((word >> np.int32(23)) - np.int32(159))
        y = np.int32((word & np.int32(0x7FFFFF)) | np.int32(0x3F800000)).view(np.float32) - _MIDDLE
        tail = LN[4] + y * (LN[5] + y * (LN[6] + y * (LN[7] + y * LN[8])))
        ln = exponent * _LN2 + (LN[0] + y * (LN[1] + y * (LN[2] + y * (LN[3] + y * tail))))
        radius = np.sqrt(max(-_TWO * ln, _ZERO))
        t = np.float32(np.int32(bits_1[i])) * _UNIT_32
        s = t * t
        sin = SIN[0] + s * (SIN[1] + s * (SIN[2] + s * (SIN[3] + s * (SIN[4] + s * (SIN[5] + s * SIN[6])))))
        cos = COS[0] + s * (COS[1] + s * (COS[2] + s * (COS[3] + s * (COS[4] + s * (COS[5] + s * COS[6])))))
        out_0[i] = radius * cos
        out_1[i] = radius * (t * sin)


@compiled
def _propose(
    kind: int,
    key_0: np.uint64,
    key_1: np.uint64,
    round_: int,
    first: int,
    centre: np.ndarray,
    sigma: float,
    weights: Floats,
) -> None:
    """`Noise.propose`, with the centre as (C, M). A weight is cut to 0 exactly where `weights_of` cuts it."""
    chunks, C, M, lanes = weights.shape
    numbers = np.empty((4 * ((C * M + 3) // 4), lanes), np.float32)
    bits, totals = np.empty((4, lanes), np.uint32), np.empty(lanes)
    wide = np.empty((M, lanes))
    for chunk in range(chunks):
        _fill(kind, key_0, key_1, round_, np.int64(0), first + chunk * lanes, np.int64(0), numbers, bits)
        for c in range(C):
            totals[:] = 0
            for m in range(M):
                row, source, middle = wide[m], numbers[c * M + m], centre[c, m]
                for i in range(lanes):
                    value = np.float64(source[i])
                    if sigma > 0:
                        value = max(middle + sigma * value, 0.0)
                    row[i] = value
                    totals[i] += value
            for i in range(lanes):
                if totals[i] == 0:
                    draw = first + chunk * lanes + i
                    totals[i] = _draw_again(kind, key_0, key_1, round_, draw, c, centre, sigma, wide, i)
            for i in range(lanes):
                totals[i] = 1 / totals[i]
            for m in range(M):
                row, target = wide[m], weights[chunk, c, m]
                for i in range(lanes):
                    target[i] = np.float32(row[i] * totals[i])


@compiled
def _draw_again(
    kind: int,
    key_0: np.uint64,
    key_1: np.uint64,
    round_: int,
    draw: int,
    c: int,
    centre: np.ndarray,
    sigma: float,
    wide: np.ndarray,
    lane: int,
) -> float:
    """Draw one class of one draw until a weight is above 0; returns the sum of its weights."""
    M = len(wide)
    first_quad, last_quad = c * M // 4, (c * M + M - 1) // 4
    numbers = np.empty((4 * (last_quad - first_quad + 1), 1), np.float32)
    bits = np.empty((4, 1), np.uint32)
    total, attempt = 0.0, 0
    while total == 0:
        attempt += 1
        _fill(kind, key_0, key_1, round_, attempt, draw, first_quad, numbers, bits)
        for m in range(M):
            value = np.float64(numbers[c * M + m - 4 * first_quad, 0])
            if sigma > 0:
                value = max(centre[c, m] + sigma * value, 0.0)
            wide[m, lane] = value
            total += value
    return total
