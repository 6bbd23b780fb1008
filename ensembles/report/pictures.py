"""Pictures of a run as papers have them, as SVG or PNG."""

from pathlib import Path

import numpy as np

from ensembles.fitting.matrices import Matrix
from features.errors import WrongUse
from features.files import replacing

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
