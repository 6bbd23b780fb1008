"""The filters of motion that an activity model learnt, as pictures (Kahou 2015, figure 2)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from features.errors import EmofuseError, WrongUse
from features.names import unknown_name
from features.terminal import command
from search.run.layout import Layout
from search.run.predictions import Footer, prediction_files, read_footer

_FAMILY = "activity_svm"


@dataclass(frozen=True, eq=False)
class MotionFilters:
    """Filters (H, 10, 16, 16) of a model, those that respond most strongly first."""

    name: str
    filters: np.ndarray


def filters_of(run: Path, name: str) -> MotionFilters:
    """The filters of `ENTRY/CONFIG`, `ENTRY/TRIAL` or `ENTRY`: of its refit, or of the best trial whose model is kept.

    Errors: an unknown name; an entry of another family; no model that is kept.
    """
    entry, _, key = name.partition("/")
    footers = [footer for path in prediction_files(run) if (footer := read_footer(path)).entry == entry]
    own = [footer for footer in footers if footer.config_key.startswith(key) or footer.trial_key.startswith(key)]
    if not own:
        raise unknown_name("member", name, {path.parent.name.removeprefix("family=") for path in prediction_files(run)})
    if own[0].family != _FAMILY:
        raise WrongUse(f"{name} is of family {own[0].family!r}; filters of motion are learnt by {_FAMILY!r} alone.")
    layout = Layout(run)
    kept = [footer for footer in own if layout.model_folder(footer.trial_key).is_dir()]
    if not kept:
        again = command("search", "replay", run, min(own, key=_first).trial_key[:12], "--write")
        raise EmofuseError(
            f"{run}: no model of {name} is kept, so its filters can't be shown; refit an ensemble that has it, or "
            f"train the trial again by `{again}`."
        )
    best = min(kept, key=_first)
    return MotionFilters(f"{entry}/{best.trial_key[:12]} {best.partition}", _read(layout.model_folder(best.trial_key)))


def _first(footer: Footer) -> tuple[bool, float, str]:
    """Refits first, which know most clips, then by accuracy."""
    return footer.partition != "full", -footer.metrics.get("accuracy", 0.0), footer.trial_key


def _read(folder: Path) -> np.ndarray:
    from features.motion import LENGTH, SIDE  # brings OpenCV
    from models.weights import read_arrays

    filters = read_arrays(folder / "words.safetensors", f"the words of a saved {_FAMILY} model")["filters"]
    order = np.argsort(-np.linalg.norm(filters, axis=0), kind="stable")
    return filters.T[order].reshape(-1, LENGTH, SIDE, SIDE)
