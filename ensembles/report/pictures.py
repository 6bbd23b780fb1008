"""Pictures of a run as papers have them, as SVG or PNG."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ensembles.comparison.curves import Curve
from ensembles.comparison.matrices import Matrix
from features.errors import WrongUse
from features.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_KINDS = (".png", ".svg")
_DARK = 55  # percent from which text on a cell is white


def check_picture(path: Path) -> None:
    """Refuse a file that is no kind of picture."""
    if path.suffix.lower() not in _KINDS:
        raise WrongUse(f"{path}: a picture is written as .svg or .png, but got {path.suffix!r}.")


def draw_matrix(matrix: Matrix, path: Path) -> None:
    """Write a confusion matrix in row percent: true classes down, predicted ones across."""
    check_picture(path)
    from matplotlib.figure import Figure

    percent, C = matrix.percent, len(matrix.classes)
    figure = Figure(figsize=(2 + 0.75 * C, 1.6 + 0.55 * C), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(np.nan_to_num(percent), cmap="Blues", vmin=0, vmax=100, aspect="auto")
    for i in range(C):
        for j in range(C):
            text = "-" if percent[i, j] != percent[i, j] else f"{percent[i, j]:.1f}"
            axes.text(j, i, text, ha="center", va="center", color="white" if percent[i, j] > _DARK else "black")
    axes.set_xticks(range(C), matrix.classes, rotation=45, ha="right")
    axes.set_yticks(range(C), matrix.classes)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(f"{matrix.name}\n{matrix.rows}, row percent", fontsize=9, parse_math=False)
    with replacing(path) as temporary:
        figure.savefig(temporary, format=path.suffix.lower()[1:])


def draw_curves(curves: Sequence[Curve], path: Path) -> None:
    """Write learning curves side by side."""
    check_picture(path)
    figure = curves_figure(curves)
    with replacing(path) as temporary:
        figure.savefig(temporary, format=path.suffix.lower()[1:])


def curves_figure(curves: Sequence[Curve]) -> "Figure":
    """Learning curves side by side: accuracy on the clips of the fit and on held-out ones over the epochs."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(curves), 3.4), layout="constrained")
    panels = figure.subplots(1, len(curves), sharey=True, squeeze=False)[0]
    for axes, curve in zip(panels, curves, strict=True):
        for values, label, colour in ((curve.fitted, "train", "tab:blue"), (curve.held_out, "held out", "tab:orange")):
            known = [
                (epoch, 100 * value) for epoch, value in zip(curve.epochs, values, strict=True) if value is not None
            ]
            if known:
                axes.plot(*zip(*known, strict=True), label=label, color=colour, marker="." if len(known) == 1 else None)
        axes.axvline(curve.best_epoch, color="grey", linewidth=0.8, linestyle="--", label="kept")
        axes.set_title(f"{curve.name}\n{curve.partition}", fontsize=9, parse_math=False)
        axes.set_xlabel("epoch")
        axes.legend(fontsize=8)
    panels[0].set_ylabel("accuracy, %")
    return figure
