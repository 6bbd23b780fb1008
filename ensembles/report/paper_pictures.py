"""Figures as the papers have them: filters of motion (Kahou 2), CCC over windows (Huang 4), traces (Huang 5)."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ensembles.comparison.motion_filters import MotionFilters
from ensembles.continuous.figures import Traced, WindowLine
from ensembles.report.pictures import check_picture
from features.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_FILTERS = 24
_COLUMNS = 4  # filters side by side
_FRAMES = (0, 2, 4, 6, 8)  # the paper's 1, 3, 5, 7 and 9
_GAP = 2
_COLOURS = ("tab:green", "tab:red", "tab:purple", "tab:brown", "tab:orange", "tab:pink")


def filters_figure(found: MotionFilters, most: int = MOST_FILTERS) -> "Figure":
    """The strongest filters, each a row of five of its ten frames from left to right."""
    from matplotlib.figure import Figure

    shown = found.filters[:most][:, _FRAMES]
    side = shown.shape[-1]
    rows = -(-len(shown) // _COLUMNS)
    wide = len(_FRAMES) * (side + 1) + 3 * _GAP
    sheet = np.full((rows * (side + _GAP), _COLUMNS * wide), np.nan)
    for n, frames in enumerate(shown):
        scaled = (frames - frames.min()) / max(float(np.ptp(frames)), 1e-12)
        top, left = n // _COLUMNS * (side + _GAP), n % _COLUMNS * wide
        for k, frame in enumerate(scaled):
            sheet[top : top + side, left + k * (side + 1) : left + k * (side + 1) + side] = frame
    figure = Figure(figsize=(8, 8 * sheet.shape[0] / sheet.shape[1] + 0.5), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(sheet, cmap="gray", interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(f"{found.name}: frames 1, 3, 5, 7, 9 of {len(shown)} filters", fontsize=9, parse_math=False)
    return figure


def windows_figure(lines: Sequence[WindowLine]) -> "Figure":
    """A panel for each entry, in it a line for each dimension over the windows in seconds."""
    from matplotlib.figure import Figure

    entries = list(dict.fromkeys(line.entry for line in lines))
    figure = Figure(figsize=(4.2 * len(entries), 3.4), layout="constrained")
    panels = figure.subplots(1, len(entries), sharey=True, squeeze=False)[0]
    for axes, entry in zip(panels, entries, strict=True):
        for line in (line for line in lines if line.entry == entry):
            axes.plot(line.seconds, line.ccc, marker="o", label=line.dimension)
        axes.set_title(entry, fontsize=9, parse_math=False)
        axes.set_xlabel("window, s")
        axes.legend(fontsize=8)
    panels[0].set_ylabel("CCC")
    return figure


def traces_figure(figures: Sequence[Traced]) -> "Figure":
    """A panel for each dimension: labels and predictions over time, with the CCC of each on this recording."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 2.9 * len(figures)), layout="constrained")
    panels = figure.subplots(len(figures), 1, sharex=True, squeeze=False)[:, 0]
    for axes, one in zip(panels, figures, strict=True):
        axes.plot(one.time_s, one.gold, color="tab:blue", label="labels")
        for n, (name, values) in enumerate(one.predicted.items()):
            reached = one.ccc(name)
            told = name if reached is None else f"{name}, CCC {reached:.3f}"
            axes.plot(one.time_s, values, color=_COLOURS[n % len(_COLOURS)], label=told, linewidth=1)
        axes.set_ylabel(one.dimension)
        axes.legend(fontsize=8)
    panels[0].set_title(figures[0].recording, fontsize=9, parse_math=False)
    panels[-1].set_xlabel("s")
    return figure


def save_picture(figure: "Figure", path: Path) -> None:
    """Write a figure as .svg or .png, whole or not at all."""
    check_picture(path)
    with replacing(path) as temporary:
        figure.savefig(temporary, format=path.suffix.lower()[1:])


def svg_of(figure: "Figure") -> str:
    """A figure as an `<svg>` element to be placed in a page; texts stay texts."""
    import matplotlib as mpl

    out = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "emofuse"}):
        figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()[out.getvalue().index("<svg") :]
