"""An ensemble as HTML for a notebook."""

from html import escape

from ensembles.api.tables import weights_frame
from ensembles.comparison.tables import HOWS, who_names
from ensembles.records.ensemble import Ensemble, ccc, percent

_HEAD = "<tr><th style='text-align:left'>{} with 95 % intervals over groups</th>{}</tr>"


def ensemble_html(ensemble: Ensemble) -> str:
    """Scores beside the best single member's and the plain average's, weights, and the verdict."""
    present = [how for how in HOWS if how in ensemble.scores["ensemble"]]
    head = "".join(f"<th>{escape(HOWS[how])}</th>" for how in present)
    rows = ""
    text, measure = (ccc, "Mean CCC") if ensemble.over_time else (percent, "Accuracy in %")
    for who, label in who_names(ensemble).items():
        scores = ensemble.scores.get(who, {})
        cells = "".join(f"<td>{text(scores[how]) if how in scores else '-'}</td>" for how in present)
        rows += f"<tr><td style='text-align:left'>{escape(label)}</td>{cells}</tr>"
    weights = weights_frame(ensemble).to_html(float_format="{:.2f}".format)
    title = f"Weights: {len(ensemble.members)} members of {ensemble.n_candidates}, method {escape(ensemble.method)}"
    return (
        f"<p><b>{escape(ensemble.name)}</b>: {escape(ensemble.verdict)}</p>"
        f"<table>{_HEAD.format(measure, head)}{rows}</table><p>{title}</p>{weights}"
    )
