"""Matrices of numbers as shaded tables."""

from collections.abc import Sequence

import numpy as np

from ensembles.report.blocks import Heat, HeatCell


def heat(
    caption: str,
    corner: str,
    rows: Sequence[str],
    columns: Sequence[str],
    values: np.ndarray,
    shares: np.ndarray,
    text: str,
    key: str = "",
) -> Heat:
    """`values` (R, C) as `text` formats them, on shades of `shares` (R, C) from 0 to 1."""
    lines = zip(rows, values.tolist(), np.nan_to_num(shares).tolist(), strict=True)
    made = [
        (name, [HeatCell(text.format(v), round(100 * min(1, max(0, s)))) for v, s in zip(line, of, strict=True)])
        for name, line, of in lines
    ]
    return Heat(caption, corner, list(columns), made, key)


def confusion(caption: str, counts: Sequence[Sequence[int]], classes: Sequence[str], key: str = "") -> Heat:
    """Counts with row percent beneath: true classes down, predicted ones across, and the recall of each."""
    array = np.array(counts)
    shares = array / np.maximum(array.sum(axis=1, keepdims=True), 1)
    rows = []
    for c, name in enumerate(classes):
        total = int(array[c].sum())
        cells = [
            HeatCell(f"{n}\n{100 * s:.0f} %", round(100 * s))
            for n, s in zip(array[c].tolist(), shares[c].tolist(), strict=True)
        ]
        recall = f"{100 * shares[c, c]:.1f} %" if total else "-"
        rows.append((name, [*cells, HeatCell(str(total), 0), HeatCell(recall, 0)]))
    return Heat(caption, "true \\ predicted", [*classes, "clips", "recall"], rows, key)
