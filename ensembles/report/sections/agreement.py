"""How alike models answer: fusing those that always agree gains nothing."""

import numpy as np

from ensembles.report.blocks import Section
from ensembles.report.gather import Page
from ensembles.report.sections.heats import heat

_MOST = 20


def section(page: Page) -> Section | None:
    """The agreement of the lead's members and the best models."""
    if page.predictions is None or len(page.shown) < 2:
        return None
    rows = page.shown[:_MOST]
    held_out = page.predictions.held_out
    places = [page.places[row.name] for row in rows]
    said = held_out.P[places].argmax(axis=2)
    both = held_out.valid[places][:, None] & held_out.valid[places][None]
    same = (said[:, None] == said[None]) & both
    shares = same.sum(axis=2) / np.maximum(both.sum(axis=2), 1)
    names = [page.called(row.name) for row in rows]
    low = float(shares.min())
    shades = (shares - low) / max(1 - low, 1e-9)
    says = (
        "The percentage of held-out clips on which two models name the same class; models that differ help each other."
    )
    block = heat(
        "Agreement of models, percent of held-out clips", "model", names, names, 100 * shares, shades, "{:.0f}"
    )
    return Section("agreement", "Which models agree", says, [block])
