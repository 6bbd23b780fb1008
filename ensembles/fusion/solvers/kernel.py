"""The compiled part of the weight search: how many clips each of many weight sets can get right, at most.

Arrays have the draws of a chunk as their last axis (lanes), so that every step works on many draws at once. All of it
is float32 and may round differently from machine to machine: it only screens, within a margin that covers the rounding.

A block of draws is screened in three steps. The ball that holds its weights decides, for all draws at once, the clips
whose outcome they can't change. Each other clip is tried against one class, the one most likely to beat the true one:
that bounds the count of right clips from above, nearly always below the best count so far. The few draws that may still
be better are collected and tried against all classes.

How the weights lie in memory, the draws of a chunk side by side:

    weights, flat:   chunk 0 .................................... | chunk 1 ...
                     class 0 ................ | class 1 ......... |
                     member 0 | member 1 | .. | member 0 | ...    |
                     [LANES draws] [LANES]      [LANES]

    the weight of draw i of a chunk for class c and member m:
    weights[start + ((chunk * C + c) * M + m) * LANES + i]

    rows, flat:      clip 0: class 0: the scores of members 0 .. M-1, class 1: ... | clip 1: ...
    the score that member m gives clip n for class c: rows[(n * C + c) * M + m]

Letters: C classes, M members, n clips, K patterns of missing members; `own` is a clip's true class, `rival` another.
"""

import numpy as np
from numpy.typing import NDArray

from ensembles.fusion.solvers.compiled import compiled

Floats = NDArray[np.float32]
Counts = NDArray[np.int32]
Ints = NDArray[np.int64]
Shape = tuple[int, int]  # C, M
# The fields of `screen.Clips` in their order; a compiled function takes tuples.
Clips = tuple[Floats, Floats, Floats, Floats, Ints, NDArray[np.bool_], np.float32]

LANES = 128  # draws scored together: their weights and scores stay in the first cache
CHUNKS = 8  # chunks that share one look at which clips the weights can change at all
BLOCK = LANES * CHUNKS
_ZERO, _TINY, _FAR = np.float32(0), np.float32(1e-9), np.float32(9)
_U1, _U2, _U3, _U4 = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)
_L1, _L2, _L3 = np.uint64(LANES), np.uint64(2 * LANES), np.uint64(3 * LANES)


@compiled
def aligned(size: int) -> Floats:
    """Uninitialised float32 numbers that begin on a cache line: 16 of them are then read at once."""
    numbers = np.empty(size + 16, np.float32)
    skip = -(numbers.ctypes.data // 4) % 16
    return numbers[skip : skip + size]


@compiled
def screen(weights: Floats, clips: Clips, gains: Ints, best: Ints, threshold: int, scores: Ints) -> None:
    """Write each draw's score, the summed gains of the clips that it may get right; -1 where it can't beat the best.

    `weights` (chunks, C, M, LANES), a multiple of CHUNKS chunks; `clips` as `screen.pack` makes them; `gains` (C,) is
    what a right clip of each class adds to a score, `best` (C,) the counts of the best weights so far; only draws that
    score more than `threshold` can beat these. `scores` (chunks * LANES,).
    """
    chunks, C, M, _ = weights.shape
    size = C * M * LANES
    flat, shared = weights.ravel(), aligned(CHUNKS * size)  # (chunks * C * M * LANES,), (CHUNKS * C * M * LANES,)
    counts = np.empty((CHUNKS, C, LANES), np.int32)
    left, n_left = np.empty(chunks * LANES, np.int64), 0  # the numbers of the draws that may still be better
    for start in range(0, chunks, CHUNKS):
        _count_maybe_right(flat, start * size, CHUNKS, (C, M), clips, False, shared, counts)
        for chunk in range(CHUNKS):
            first = (start + chunk) * LANES
            part = scores[first : first + LANES]
            _scores(counts[chunk], gains, best, threshold, part)
            for i in range(LANES if np.max(part) >= 0 else 0):
                if part[i] >= 0:
                    left[n_left] = first + i
                    n_left += 1
    if n_left:
        _screen_in_full(flat, left[:n_left], (C, M), clips, gains, best, threshold, shared, counts, scores)


@compiled
def _screen_in_full(
    weights: Floats,
    draws: Ints,
    shape: Shape,
    clips: Clips,
    gains: Ints,
    best: Ints,
    threshold: int,
    shared: Floats,
    counts: Counts,
    scores: Ints,
) -> None:
    """Write the scores of some draws again, each clip tried against all classes."""
    C, M = shape
    size = C * M * LANES
    packed, part = aligned(CHUNKS * size), np.empty(LANES, np.int64)
    for first in range(0, len(draws), BLOCK):
        n = min(BLOCK, len(draws) - first)
        chunks = (n + LANES - 1) // LANES
        for j in range(chunks * LANES):
            draw = draws[first + min(j, n - 1)]
            source, target = draw // LANES * size + draw % LANES, j // LANES * size + j % LANES
            for k in range(C * M):
                packed[target + k * LANES] = weights[source + k * LANES]
        _count_maybe_right(packed, 0, chunks, shape, clips, True, shared, counts)
        for chunk in range(chunks):
            _scores(counts[chunk], gains, best, threshold, part)
            for i in range(min(LANES, n - chunk * LANES)):
                scores[draws[first + chunk * LANES + i]] = part[i]


@compiled
def _scores(counts: Counts, gains: Ints, best: Ints, threshold: int, scores: Ints) -> None:
    """The score (LANES,) of each lane's counts (C, LANES); -1 up to the threshold, and for the best's own counts."""
    same = np.ones(LANES, np.int32)
    scores[:] = 0
    for c in range(len(gains)):
        its_counts, gain, known = counts[c], gains[c], np.int32(best[c])
        for i in range(LANES):
            scores[i] += gain * np.int64(its_counts[i])
            same[i] &= np.int32(its_counts[i] == known)
    for i in range(LANES):
        scores[i] = scores[i] if scores[i] > threshold and same[i] == 0 else -1


@compiled
def _count_maybe_right(
    weights: Floats, start: int, chunks: int, shape: Shape, clips: Clips, in_full: bool, shared: Floats, counts: Counts
) -> None:
    """Write counts (chunks, C, LANES): clips of each class that each draw may get right.

    `weights` is flat, by chunk, class, member and lane; the draws begin at `start`. A clip is tried against all classes
    if `in_full`, else against one.
    """
    rows, columns, middles, spreads, edges, patterns, margin = clips
    C, M = shape
    centre, radii = np.empty((C, M), np.float32), np.empty(C, np.float32)
    certain, opened = np.empty(C, np.int32), np.empty(C + 1, np.int64)  # open clips of class c: opened[c]:opened[c + 1]
    open_clips, rivals = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64)
    flat_rows, scratch, counts[:] = rows.ravel(), aligned(2 * LANES), 0  # (n * C * M,), (2 * LANES,)
    for k in range(len(patterns)):
        if edges[k, 0] == edges[k, C]:
            continue
        current, offset, n_present = weights, start, np.sum(patterns[k])
        if n_present < M:
            _share(weights, start, chunks, shape, patterns[k], np.float32(1 / n_present), shared)
            current, offset = shared, 0
        _surround(current, offset, chunks, centre, radii)
        leads = _leads((columns, middles, spreads), centre, radii, edges[k])
        _decide(leads, edges[k], margin, certain, opened, open_clips, rivals)
        for chunk in range(chunks):
            base = offset + chunk * C * M * LANES
            for label in range(C):
                right, first, last = counts[chunk, label], opened[label], opened[label + 1]
                for i in range(LANES):
                    right[i] += certain[label]
                if first < last:
                    those = flat_rows, open_clips[first:last], rivals[first:last], label
                    if in_full:
                        _add_right_of_all(current, base, shape, those, margin, scratch, right)
                    else:
                        _add_right(current, base, shape, those, margin, scratch, right)


@compiled
def _share(
    weights: Floats,
    start: int,
    chunks: int,
    shape: Shape,
    present: NDArray[np.bool_],
    equal: np.float32,
    shared: Floats,
) -> None:
    """Write to `shared` the chunks' weights with those of absent members given to the present ones.

    In proportion to their weights, equally (`equal` each) where these are all 0.
    """
    C, M = shape
    totals = np.empty(LANES, np.float32)
    for k in range(chunks * C):
        for i in range(LANES):
            totals[i] = 0
        for m in range(M):
            if present[m]:
                at = np.uint64(start + (k * M + m) * LANES)
                for i in range(_L1):
                    totals[i] += weights[at + i]
        for m in range(M):
            at, to = np.uint64(start + (k * M + m) * LANES), np.uint64((k * M + m) * LANES)
            for i in range(_L1):
                share = weights[at + i] / totals[i] if totals[i] > 0 else equal
                shared[to + i] = share if present[m] else _ZERO


@compiled(contract=True)
def _surround(weights: Floats, start: int, chunks: int, centre: Floats, radii: Floats) -> None:
    """A ball for each class that holds its weights in all draws: `centre` (C, M) and `radii` (C,).

    The centre is the mean of the first chunk: it only has to be near the draws.
    """
    C, M = centre.shape
    squares, furthest = np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    for c in range(C):
        furthest[:] = 0
        for chunk in range(chunks):
            squares[:] = 0
            for m in range(M):
                at = np.uint64(start + ((chunk * C + c) * M + m) * LANES)
                centre[c, m] = middle = np.mean(weights[at : at + _L1]) if chunk == 0 else centre[c, m]
                for i in range(_L1):
                    distance = weights[at + i] - middle
                    squares[i] += distance * distance
            for i in range(LANES):
                furthest[i] = squares[i] if squares[i] > furthest[i] else furthest[i]
        radii[c] = np.sqrt(np.max(furthest))


@compiled(contract=True)
def _leads(
    scores: tuple[Floats, Floats, Floats], centre: Floats, radii: Floats, edges: Ints
) -> tuple[Floats, Floats, Counts]:
    """How the true class of each clip of a pattern leads the others, for all weights of the ball.

    `edges` (C + 1,) bound the clips of each true class. Returns, per clip, the least and the most of the smallest lead
    and the class (likely) that it is nearest to losing to. The weights of a class sum to 1, so its score is the clip's
    middle plus the weighted distances of the members from it. Within the ball these change by at most its radius times
    the distances' norm (`spreads`).
    """
    columns, middles, spreads = scores
    C, M, _ = columns.shape
    start, stop, n = edges[0], edges[C], edges[C] - edges[0]
    own, reach = np.empty(n, np.float32), np.empty(n, np.float32)  # the true class's score at the centre, its change
    other = np.empty((C, n), np.float32)  # the score of every class at the centre
    for c in range(C):
        row = other[c]
        row[:] = middles[c, start:stop]
        for m in range(M):
            weight, distances = centre[c, m], columns[c, m, start:stop]
            for i in range(n):
                row[i] += weight * distances[i]
        first, last = edges[c] - start, edges[c + 1] - start
        own[first:last], reach[first:last] = row[first:last], radii[c] * spreads[c, edges[c] : edges[c + 1]]
        row[first:last] = -_FAR  # a clip's own class is no rival
    least, most, ratio, change = np.full(n, _FAR), np.full(n, _FAR), np.full(n, _FAR), np.empty(n, np.float32)
    likely = np.zeros(n, np.int32)
    # Three loops, as the compiler works on many clips at once only where few arrays might overlap.
    for c in range(C):
        lead, its_spreads, radius, name = other[c], spreads[c, start:stop], radii[c], np.int32(c)
        for i in range(n):
            lead[i], change[i] = own[i] - lead[i], reach[i] + radius * its_spreads[i]
        for i in range(n):
            low, high = lead[i] - change[i], lead[i] + change[i]
            least[i], most[i] = low if low < least[i] else least[i], high if high < most[i] else most[i]
        for i in range(n):
            near = lead[i] / (change[i] + _TINY)
            likely[i], ratio[i] = name if near < ratio[i] else likely[i], near if near < ratio[i] else ratio[i]
    return least, most, likely


@compiled
def _decide(
    leads: tuple[Floats, Floats, Counts],
    edges: Ints,
    margin: np.float32,
    certain: Counts,
    opened: Ints,
    open_clips: Ints,
    rivals: Ints,
) -> None:
    """Count the clips of each class that all draws get right (`certain`), and list those that neither all nor none do.

    The latter go to `open_clips`, class c from opened[c] to opened[c + 1], and to `rivals` what they are tried against.
    """
    least, most, likely = leads
    n_open = 0
    for c in range(len(certain)):
        opened[c], certain[c] = n_open, 0
        for clip in range(edges[c], edges[c + 1]):
            i = clip - edges[0]
            if least[i] > 2 * margin:
                certain[c] += 1
            elif most[i] >= -2 * margin:
                open_clips[n_open], rivals[n_open] = clip, likely[i]
                n_open += 1
    opened[len(certain)] = n_open


@compiled(contract=True)
def _add_right(
    weights: Floats,
    start: int,
    shape: Shape,
    clips: tuple[Floats, Ints, Ints, int],
    margin: np.float32,
    leads: Floats,
    counts: Counts,
) -> None:
    """Add to counts (LANES,) how many clips' true class each draw of a chunk may score above the clip's rival."""
    rows, numbers, rivals, label = clips
    C, M = shape
    last = np.uint64((M - 1) * LANES)  # the last member's weights, from the first one's
    own_at = np.uint64(start + label * M * LANES) + last
    for k in range(len(numbers)):
        clip, rival = numbers[k], rivals[k]
        _lead(weights, start, shape, rows, clip, label, rival, leads)
        own, its = rows[(clip * C + label) * M + M - 1], rows[(clip * C + rival) * M + M - 1]
        rival_at = np.uint64(start + rival * M * LANES) + last
        for i in range(_L1):
            counts[i] += np.int32(leads[i] + (weights[own_at + i] * own - weights[rival_at + i] * its) >= -margin)


@compiled(contract=True)
def _add_right_of_all(
    weights: Floats,
    start: int,
    shape: Shape,
    clips: tuple[Floats, Ints, Ints, int],
    margin: np.float32,
    scratch: Floats,
    counts: Counts,
) -> None:
    """`_add_right` against all other classes."""
    rows, numbers, _, label = clips
    C, M = shape
    leads, least = scratch[:LANES], scratch[LANES:]
    last = np.uint64((M - 1) * LANES)
    own_at = np.uint64(start + label * M * LANES) + last
    for clip in numbers:
        least[:] = _FAR
        for rival in range(C):
            if rival != label:
                _lead(weights, start, shape, rows, clip, label, rival, leads)
                own, its = rows[(clip * C + label) * M + M - 1], rows[(clip * C + rival) * M + M - 1]
                rival_at = np.uint64(start + rival * M * LANES) + last
                for i in range(_L1):
                    least[i] = min(least[i], leads[i] + (weights[own_at + i] * own - weights[rival_at + i] * its))
        for i in range(LANES):
            counts[i] += np.int32(least[i] >= -margin)


@compiled(contract=True)
def _lead(
    weights: Floats, start: int, shape: Shape, rows: Floats, clip: int, label: int, rival: int, leads: Floats
) -> None:
    """Write to leads (LANES,) the score of a clip's true class less a rival's, of all members but the last.

    Four members at a time, then one by one. Unsigned, as an index that might be negative is not for many lanes at once.
    """
    C, M = shape
    own_row, rival_row = np.uint64((clip * C + label) * M), np.uint64((clip * C + rival) * M)
    own_at, rival_at = np.uint64(start + label * M * LANES), np.uint64(start + rival * M * LANES)
    fours, members = np.uint64((M - 1) - (M - 1) % 4), np.uint64(M - 1)
    if M < 5:
        leads[:LANES] = _ZERO
    for m in range(np.uint64(0), fours, _U4):
        at = own_row + m
        own0, own1, own2, own3 = rows[at], rows[at + _U1], rows[at + _U2], rows[at + _U3]
        at = rival_row + m
        its0, its1, its2, its3 = rows[at], rows[at + _U1], rows[at + _U2], rows[at + _U3]
        for i in range(_L1):
            v, w = own_at + i, rival_at + i
            own, its = weights[v] * own0 + weights[v + _L1] * own1, weights[w] * its0 + weights[w + _L1] * its1
            own += weights[v + _L2] * own2 + weights[v + _L3] * own3
            its += weights[w + _L2] * its2 + weights[w + _L3] * its3
            leads[i] = own - its if m == 0 else leads[i] + (own - its)
        own_at += _U4 * _L1
        rival_at += _U4 * _L1
    for m in range(fours, members):
        own0, its0 = rows[own_row + m], rows[rival_row + m]
        for i in range(_L1):
            leads[i] += weights[own_at + i] * own0 - weights[rival_at + i] * its0
        own_at += _L1
        rival_at += _L1
