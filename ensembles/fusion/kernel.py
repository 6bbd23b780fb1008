"""The compiled part of the weight search: how many clips each of many weight sets can get right, at most.

Arrays have the draws of a chunk as their last axis (lanes), so that every step works on many draws at once. All of it
is float32 and may round differently from machine to machine: it only screens, within a margin that covers the rounding.
"""

import numpy as np

from ensembles.fusion.compiled import compiled

LANES = 128  # draws scored together: their weights and scores stay in the first cache
CHUNKS = 8  # chunks that share one look at which clips the weights can change at all
BLOCK = LANES * CHUNKS
_CLIPS = 4  # clips scored together: each weight that is loaded is used four times
_ONE, _INFINITE = np.float32(1), np.float32(np.inf)
_U1, _U2, _U3, _U4 = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)
_L1, _L2, _L3 = np.uint64(LANES), np.uint64(2 * LANES), np.uint64(3 * LANES)


@compiled
def aligned(size):
    """Uninitialised float32 numbers that begin on a cache line: 16 of them are then read at once."""
    numbers = np.empty(size + 16, np.float32)
    skip = -(numbers.ctypes.data // 4) % 16
    return numbers[skip : skip + size]


@compiled
def screen(weights, clips, gains, best, worths):
    """Write for each draw what the clips that it may get right are worth, -1 where they are those of `best`.

    `weights` (chunks, C, M, LANES), a multiple of CHUNKS chunks; `clips` as `screen.pack` makes them; `gains` (C,) is
    the worth of a right clip of each class, `best` (C,) the counts of the best weights so far.
    """
    chunks, C, M, _ = weights.shape
    flat = weights.ravel()
    counts = np.empty((CHUNKS, C, LANES), np.int32)
    for start in range(0, chunks, CHUNKS):
        _count_maybe_right(flat, start * C * M * LANES, (C, M), clips, counts)
        for chunk in range(CHUNKS):
            for i in range(LANES):
                worth, same = 0, True
                for c in range(C):
                    worth += gains[c] * counts[chunk, c, i]
                    same = same and counts[chunk, c, i] == best[c]
                worths[(start + chunk) * LANES + i] = -1 if same else worth


@compiled
def _count_maybe_right(weights, start, shape, clips, counts):
    """Write counts (CHUNKS, C, LANES): clips of each class that each draw of a block may get right.

    `weights` is flat, by chunk, class, member and lane; the block begins at `start`.
    """
    rows, columns, middles, segments, patterns, margin = clips
    C, M = shape
    low, high = np.empty((C, M), np.float32), np.empty((C, M), np.float32)
    rivals, scores = aligned(_CLIPS * LANES), aligned(_CLIPS * LANES)
    shared = aligned(CHUNKS * C * M * LANES)
    flat_rows = rows.ravel()
    open_clips = np.empty(len(rows) + _CLIPS, np.int64)
    counts[:] = 0
    current, offset, last_pattern = weights, start, -1
    for s in range(len(segments)):
        label, first, stop, pattern = segments[s]
        if pattern != last_pattern:
            current, offset, last_pattern = weights, start, pattern
            n_present = np.sum(patterns[pattern])
            if n_present < M:
                _share(weights, start, shape, patterns[pattern], np.float32(1 / n_present), shared)
                current, offset = shared, 0
            _box(current, offset, low, high)
        certain, n_open = _decide(columns, middles, low, high, label, first, stop, margin, open_clips)
        # The last rows are dummies, one per class, which no weights get right: they fill up the last group.
        while n_open % _CLIPS:
            open_clips[n_open] = len(rows) - C + label
            n_open += 1
        for chunk in range(CHUNKS):
            right = counts[chunk, label]
            for i in range(LANES):
                right[i] += certain
            for g in range(0, n_open, _CLIPS):
                group = open_clips[g : g + _CLIPS]
                base = offset + chunk * C * M * LANES
                _group_right(current, base, shape, flat_rows, group, label, margin, rivals, scores, right)


@compiled
def _share(weights, start, shape, present, equal, shared):
    """Write to `shared` the block's weights with those of absent members given to the present ones.

    In proportion to their weights, equally (`equal` each) where these are all 0.
    """
    C, M = shape
    totals = np.empty(LANES, np.float32)
    for k in range(CHUNKS * C):
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
                value = weights[at + i] / totals[i] if totals[i] > 0 else equal
                shared[to + i] = value if present[m] else np.float32(0)


@compiled
def _box(weights, start, low, high):
    """The smallest and the largest weight of each member and class (C, M) among the draws of a block."""
    C, M = low.shape
    smallest, largest = np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    for c in range(C):
        for m in range(M):
            smallest[:] = _INFINITE
            largest[:] = -_INFINITE
            for chunk in range(CHUNKS):
                at = np.uint64(start + ((chunk * C + c) * M + m) * LANES)
                for i in range(_L1):
                    value = weights[at + i]
                    smallest[i] = value if value < smallest[i] else smallest[i]
                    largest[i] = value if value > largest[i] else largest[i]
            low[c, m], high[c, m] = smallest[0], largest[0]
            for i in range(LANES):
                low[c, m], high[c, m] = min(low[c, m], smallest[i]), max(high[c, m], largest[i])


@compiled(contract=True)
def _decide(columns, middles, low, high, label, start, stop, margin, open_clips):
    """How many clips all draws get right, and how many neither all nor none do, which go to `open_clips`.

    The weights of a class sum to 1, so its score is the clip's middle plus the weighted distances of the members from
    it; the weights' box bounds these.
    """
    C, M, _ = columns.shape
    n = stop - start
    own_low, own_high = np.empty(n, np.float32), np.empty(n, np.float32)
    rival_low, rival_high = np.empty(n, np.float32), np.empty(n, np.float32)
    rival_low[:] = rival_high[:] = -_ONE
    least, most = np.empty(n, np.float32), np.empty(n, np.float32)
    for c in range(C):
        for i in range(n):
            least[i] = most[i] = middles[c, start + i]
        for m in range(M):
            a, b = low[c, m], high[c, m]
            distances = columns[c, m, start:stop]
            for i in range(n):
                x, y = a * distances[i], b * distances[i]
                least[i] += x if x < y else y
                most[i] += y if x < y else x
        if c == label:
            for i in range(n):
                own_low[i], own_high[i] = least[i], most[i]
        else:
            for i in range(n):
                rival_low[i] = least[i] if least[i] > rival_low[i] else rival_low[i]
                rival_high[i] = most[i] if most[i] > rival_high[i] else rival_high[i]
    certain, n_open = 0, 0
    for i in range(n):
        if own_low[i] > rival_high[i] + 2 * margin:
            certain += 1
        elif own_high[i] >= rival_low[i] - 2 * margin:
            open_clips[n_open] = start + i
            n_open += 1
    return certain, n_open


@compiled(contract=True)
def _group_right(weights, start, shape, rows, group, label, margin, rivals, scores, counts):
    """Add to counts (LANES,) how many of four clips each draw of a chunk may get right."""
    C, M = shape
    rivals[:] = -_ONE
    for c in range(C):
        if c != label:
            _group_scores(weights, start + c * M * LANES, shape, rows, group, c, scores)
            for i in range(_CLIPS * LANES):
                rivals[i] = scores[i] if scores[i] > rivals[i] else rivals[i]
    _group_scores(weights, start + label * M * LANES, shape, rows, group, label, scores)
    for i in range(_L1):
        counts[i] += (
            np.int32(scores[i] >= rivals[i] - margin)
            + np.int32(scores[_L1 + i] >= rivals[_L1 + i] - margin)
            + np.int32(scores[_L2 + i] >= rivals[_L2 + i] - margin)
            + np.int32(scores[_L3 + i] >= rivals[_L3 + i] - margin)
        )


@compiled(contract=True)
def _group_scores(weights, start, shape, rows, group, c, scores):
    """The scores (4 LANES,) of one class for four clips; members four at a time, then one by one.

    Unsigned numbers throughout: an index that might be negative keeps the compiler from working on many lanes at once.
    """
    C, M = shape
    p, q = np.uint64((group[0] * C + c) * M), np.uint64((group[1] * C + c) * M)
    r, t = np.uint64((group[2] * C + c) * M), np.uint64((group[3] * C + c) * M)
    members, fours = np.uint64(M), np.uint64(M - M % 4)
    w = np.uint64(start)
    if M < 4:
        scores[:] = 0
    for m in range(np.uint64(0), fours, _U4):
        p0, p1, p2, p3 = rows[p + m], rows[p + m + _U1], rows[p + m + _U2], rows[p + m + _U3]
        q0, q1, q2, q3 = rows[q + m], rows[q + m + _U1], rows[q + m + _U2], rows[q + m + _U3]
        r0, r1, r2, r3 = rows[r + m], rows[r + m + _U1], rows[r + m + _U2], rows[r + m + _U3]
        t0, t1, t2, t3 = rows[t + m], rows[t + m + _U1], rows[t + m + _U2], rows[t + m + _U3]
        if m == 0:
            for i in range(_L1):
                a, b, d, e = weights[w + i], weights[w + _L1 + i], weights[w + _L2 + i], weights[w + _L3 + i]
                scores[i] = a * p0 + b * p1 + d * p2 + e * p3
                scores[_L1 + i] = a * q0 + b * q1 + d * q2 + e * q3
                scores[_L2 + i] = a * r0 + b * r1 + d * r2 + e * r3
                scores[_L3 + i] = a * t0 + b * t1 + d * t2 + e * t3
        else:
            for i in range(_L1):
                a, b, d, e = weights[w + i], weights[w + _L1 + i], weights[w + _L2 + i], weights[w + _L3 + i]
                scores[i] += a * p0 + b * p1 + d * p2 + e * p3
                scores[_L1 + i] += a * q0 + b * q1 + d * q2 + e * q3
                scores[_L2 + i] += a * r0 + b * r1 + d * r2 + e * r3
                scores[_L3 + i] += a * t0 + b * t1 + d * t2 + e * t3
        w += _U4 * _L1
    for m in range(fours, members):
        p0, q0, r0, t0 = rows[p + m], rows[q + m], rows[r + m], rows[t + m]
        for i in range(_L1):
            a = weights[w + i]
            scores[i] += a * p0
            scores[_L1 + i] += a * q0
            scores[_L2 + i] += a * r0
            scores[_L3 + i] += a * t0
        w += _L1
