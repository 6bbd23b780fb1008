"""One trial trained again: does it come to the same predictions, and what was dropped of it is there again."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np

from features.errors import EmofuseError, WrongUse
from features.files import replacing_folder
from search.run.folder import RunFolder
from search.run.layout import Layout
from search.run.lease import exclusive
from search.run.predictions import (
    Footer,
    Predictions,
    prediction_files,
    read_footer,
    read_predictions,
    write_predictions,
)
from search.run.spec import TrialSpec
from search.sampling.journal import open_journal
from search.study.plan import entry_spec, stored_spec
from search.study.retries import MIN_KEY, entry_study
from search.trial.trial import train_into


@dataclass(frozen=True)
class Replay:
    """What training a trial again came to, beside what was stored.

    `difference` is the largest of a probability, `agreement` the share of clips with the same first class; both None
    when no predictions were stored. `others` tells what else is not as it was, such as a library's version. `written`
    are the places in the run's folder that were filled again.
    """

    trial: str
    clips: int
    accuracy: float | None
    stored_accuracy: float | None = None
    difference: float | None = None
    agreement: float | None = None
    others: tuple[str, ...] = ()
    written: tuple[str, ...] = ()

    def check(self, tolerance: float) -> None:
        """EmofuseError when the predictions are not the stored ones within `tolerance`."""
        if self.difference is not None and self.difference > tolerance:
            because = f" ({'; '.join(self.others)})" if self.others else ""
            raise EmofuseError(
                f"{self.trial}: expected the stored predictions within {tolerance:g}, but {self.told()}{because}; "
                "nothing was written."
            )

    def told(self) -> str:
        """The comparison as a clause."""
        if self.difference is None:
            return f"{self.clips} clips, {_accuracy(self.accuracy)}; no stored predictions to compare with"
        return (
            f"the largest difference over {self.clips} clips is {self.difference:.3g}, {self.agreement:.1%} of the "
            f"labels agree, {_accuracy(self.stored_accuracy)} then and {_accuracy(self.accuracy)} now"
        )


def replay(run: RunFolder, key: str, *, write: bool = False, tolerance: float = 1e-3) -> Replay:
    """Train the trial whose key begins with `key` again, in this process, and compare with what is stored.

    With `write` its model, and its predictions where they are missing, are put into the run; refused when they are not
    the stored ones within `tolerance`, and for a trial that is on record as failed or pruned.
    """
    spec, footer = find_trial(run, key)
    if spec.annotations:
        raise WrongUse(f"{spec}: a replay compares class probabilities, but this trial learnt continuous emotion.")
    if write and run.outcome(spec.trial_key) is not None and footer is None:
        raise WrongUse(f"{spec}: this trial did not finish, so nothing of it was dropped; see emofuse search retry.")
    stored = read_predictions(run.prediction(spec.entry, spec.trial_key)) if footer else None
    spec = replace(spec, stall_s=None, time_limit_s=None, keep_model=write or spec.keep_model)
    with tempfile.TemporaryDirectory(prefix=".replay-", dir=run.path) as folder:
        again = read_predictions(_path(train_into(spec, Path(folder)).path))
        found = _compared(spec, stored, again)
        if not write:
            return found
        found.check(tolerance)
        return replace(found, written=tuple(_put_back(run, spec, Layout(Path(folder)), again, stored is None)))


def find_trial(run: RunFolder, key: str) -> tuple[TrialSpec, Footer | None]:
    """The trial whose key begins with `key`, and the footer of its predictions if it has any.

    Looked for among the predictions, then the failed and pruned trials, then all that the studies asked for.
    """
    if len(key) < MIN_KEY:
        raise WrongUse(f"A trial's key is given by its first {MIN_KEY} characters or more, but got {key!r}.")
    paths = [path for path in prediction_files(run.path) if path.stem.startswith(key)]
    if paths:
        footer = read_footer(_only(paths, key, [path.stem for path in paths]))
        spec = replace(stored_spec(run, footer, "replay"), cpu=footer.cpu)
        if spec.trial_key != footer.trial_key:
            raise EmofuseError(
                f"{spec.entry} {footer.trial_key[:8]} {spec.partition}: what its predictions tell of it makes another "
                f"trial by now ({spec.trial_key[:8]}), so it can't be trained again."
            )
        return spec, footer
    ended = [outcome for outcome in run.outcomes() if outcome.trial_key.startswith(key)]
    if ended:
        outcome = _only(ended, key, [outcome.trial_key for outcome in ended])
        base = entry_spec(run, *run.recipe.entry(outcome.entry))
        return base.at(outcome.hyperparameters, outcome.partition, outcome.repeat), None
    asked = [spec for spec in _asked(run) if spec.trial_key.startswith(key)]
    if not asked:
        raise WrongUse(f"{run.path}: expected the key of one of its trials (or its beginning), but got {key!r}.")
    return _only(asked, key, [spec.trial_key for spec in asked]), None


def _only(found: list[Any], key: str, keys: list[str]) -> Any:
    if len(found) > 1:
        raise WrongUse(f"{key!r} is the beginning of {len(found)} trials' keys: {', '.join(k[:16] for k in keys)}.")
    return found[0]


def _asked(run: RunFolder) -> Iterator[TrialSpec]:
    """All trials of the studies' configurations; entries whose inputs aren't there are passed over."""
    with exclusive(run.path):
        journal = open_journal(run.journal)
        for stage, entry in run.recipe.all_entries():
            try:
                base = entry_spec(run, stage, entry)
            except EmofuseError:
                continue
            for point in entry_study(run, entry, journal).points:
                for partition in run.recipe.partition_names(stage):
                    for repeat in range(run.recipe.best_seeds_of(stage, entry)):
                        yield base.at(entry.complete(point), partition, repeat)


def _compared(spec: TrialSpec, stored: Predictions | None, again: Predictions) -> Replay:
    new = again.footer
    found = Replay(str(spec), len(again.clip_id), new.metrics.get("accuracy"))
    if stored is None:
        return found
    old = stored.footer
    order = [again.clip_id.index(clip_id) for clip_id in stored.clip_id]
    p, q = stored.probabilities, again.probabilities[order]
    changes = [
        f"{name} was {old.versions[name]}, is {new.versions.get(name, 'absent')}"
        for name in old.versions
        if old.versions[name] != new.versions.get(name)
    ]
    changes += [
        f"{name} was {was}, is {now}"
        for name, was, now in (
            ("device", old.device, new.device),
            ("threads", old.cpu, new.cpu),
            ("batch", old.batch_size, new.batch_size),
        )
        if was != now
    ]
    return replace(
        found,
        stored_accuracy=old.metrics.get("accuracy"),
        difference=float(np.abs(p.astype(np.float64) - q).max()),
        agreement=float((p.argmax(1) == q.argmax(1)).mean()),
        others=tuple(changes),
    )


def _put_back(run: RunFolder, spec: TrialSpec, made: Layout, again: Predictions, missing: bool) -> Iterator[str]:
    model = run.model_folder(spec.trial_key)
    with replacing_folder(model) as temporary:
        copytree(made.model_folder(spec.trial_key), temporary, dirs_exist_ok=True)
    yield str(model)
    if missing:
        yield str(write_predictions(run.path, again))


def _path(path: Path | None) -> Path:
    if path is None:
        raise ValueError("A trained trial has predictions.")
    return path


def _accuracy(value: float | None) -> str:
    return "no held-out accuracy" if value is None else f"held-out accuracy {value:.3f}"
