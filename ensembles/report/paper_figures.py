"""A paper's figures drawn from a run, for the report: which there are depends on what the run holds."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import EmofuseError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Kahou's figure 5 shows the fusion network before and after its training was stabilised.
_KAHOU_CURVES = ("fusion_mlp", "fusion_stable")
_KAHOU_MOTION = "activity_svm"
_HUANG_TEMPORAL = ("conv3d_temporal", "convlstm_temporal")


@dataclass(frozen=True)
class PaperFigure:
    """`svg` is an `<svg>` element, made here of numbers and escaped texts; `note` says what it shows."""

    title: str
    note: str
    svg: str


def paper_figures(run: Path, recipe: str, test: bool = False) -> list[PaperFigure]:
    """The figures of the paper whose system a recipe is, those that the run has the models or trials for.

    With `test` the traces are of a test recording, as in the paper; else of a held-out one.
    """
    from ensembles.report.paper_pictures import svg_of

    drawn = {"kahou2015": _kahou, "huang2018": lambda run: _huang(run, test)}.get(recipe)
    return [PaperFigure(title, note, svg_of(figure)) for title, note, figure in drawn(run)] if drawn else []


def _kahou(run: Path) -> Iterator[tuple[str, str, "Figure"]]:
    from ensembles.comparison.curves import curves_of
    from ensembles.comparison.motion_filters import filters_of
    from ensembles.report.paper_pictures import filters_figure
    from ensembles.report.pictures import curves_figure

    try:
        filters = filters_figure(filters_of(run, _KAHOU_MOTION))
        yield "Figure 2", "Filters of motion that the synchrony autoencoder learnt.", filters
    except EmofuseError:
        pass  # no model is kept
    try:
        curves = curves_figure(curves_of(run, _KAHOU_CURVES, "train"))
        note = "Learning curves of the fusion network before and after its training was stabilised."
        yield "Figure 5", note, curves
    except EmofuseError:
        pass  # not trained on this partition


def _huang(run: Path, test: bool) -> Iterator[tuple[str, str, "Figure"]]:
    from ensembles.continuous.figures import traced, windows_of
    from ensembles.continuous.run import read_continuous_run
    from ensembles.records.named import named_traces
    from ensembles.report.paper_pictures import traces_figure, windows_figure

    found = read_continuous_run(run, test=test)
    where = "test" if test else "held-out"
    if lines := [line for line in windows_of(found, test) if line.entry in _HUANG_TEMPORAL]:
        yield "Figure 4", f"CCC over the window of temporal pooling, {where} recordings.", windows_figure(lines)
    best = {entry: next((m.name for m in found.members if m.footer.entry == entry), None) for entry in _HUANG_TEMPORAL}
    try:
        predicted = {
            name: named_traces(run, name, "test" if test else "val", searched=True)
            for name in best.values()
            if name is not None
        }
        if predicted:
            recording = min(set.intersection(*(set(own.traces) for own in predicted.values())))
            figure = traces_figure(traced(run, predicted, recording))
            yield "Figure 5", f"Labels and predictions of {recording}, a {where} recording.", figure
    except (EmofuseError, ValueError):
        pass  # no recording that all of them predict
