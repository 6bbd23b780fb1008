"""One trial: read features, fit, predict every clip of every split, write the predictions. No Ray here."""

import math
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from features.disk.sealed import seal_folder
from features.errors import DamagedFile, MachineFault
from features.files import replacing_folder
from features.progress import say
from models.family import Context, Family, FitResult, Model, Report
from models.metrics import DEFAULT_METRICS, search_value
from models.registry import family_sha256, get_family
from models.whitened import build_whitened
from search.recipe.inputs import whitenings
from search.run.continuous_predictions import checked_footer
from search.run.ending import Ending
from search.run.failures import Kind
from search.run.layout import Layout
from search.run.predictions import DamagedPredictions, Footer
from search.run.spec import TrialSpec
from search.trial.batch import NAME
from search.trial.continuous_data import ContinuousData
from search.trial.data import TrialData, read_data, trial_weights
from search.trial.encodings import has_encodings, write_encodings
from search.trial.hygiene import clean_process, pick_device
from search.trial.outputs import outputs_of
from search.trial.versions import git_revision, library_versions

__all__ = ["TrialResult", "TrialSpec", "finished_result", "run_trial"]


@dataclass(frozen=True)
class TrialResult:
    """How a trial ended. `value` is what its search maximises (None for a refit or a failure); `reused` tells that
    its predictions lay there already."""

    trial_key: str
    config_key: str
    entry: str
    partition: str
    status: Literal["finished", "failed"]
    value: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    epochs: int = 0
    best_epoch: int = 0
    wall_s: float = 0.0
    path: Path | None = None
    reason: str = ""
    reused: bool = False
    kind: Kind | None = None
    gpu_s: float = 0.0

    @property
    def ending(self) -> Ending:
        """How the trial ended, as the study hears of it."""
        return Ending(self.status, self.value, self.epochs, self.wall_s, self.reason, self.kind, self.gpu_s)


def finished_result(spec: TrialSpec) -> TrialResult | None:
    """The result of a trial that is finished, read from its predictions; None when it still has to be trained.

    Damaged predictions count as absent, which is said.
    """
    layout = Layout(Path(spec.run))
    path = layout.prediction(spec.entry, spec.trial_key)
    if not path.exists():
        return None
    if spec.keep_model and not _has_model(layout, spec):
        return None
    if spec.keep_encodings and not has_encodings(layout, spec):
        return None
    try:
        return replace(_result(checked_footer(path), path), reused=True)
    except DamagedPredictions as error:
        say(f"{error.told}; the trial is trained again.")
        return None


def _has_model(layout: Layout, spec: TrialSpec) -> bool:
    if not layout.model_folder(spec.trial_key).exists():
        return layout.model_was_dropped(spec.trial_key)
    try:
        layout.check_model(spec.trial_key, "it is trained again")
    except DamagedFile as error:
        say(f"{spec}: {error}")
        return False
    return True


def run_trial(spec: TrialSpec, report: Report | None = None, device: str | None = None) -> TrialResult:
    """Train and predict; raises what went wrong. A trial whose predictions exist is returned as it is.

    `report(epoch, metrics)` hears the held-out metrics after each epoch; its accuracy counts clips without features as
    wrong, as the final one does. A killed trial goes on from its checkpoint.
    """
    done = finished_result(spec)
    if done is not None:
        return done
    device = device or pick_device(spec.gpu)
    with clean_process(spec.seed, spec.cpu):
        return _run(spec, report, device)


def train_into(spec: TrialSpec, folder: Path, device: str | None = None) -> TrialResult:
    """Train the trial, done or not, and write what comes of it into `folder`, laid out as a run, not into its run."""
    device = device or pick_device(spec.gpu)
    with clean_process(spec.seed, spec.cpu):
        return _run(spec, None, device, folder)


def _run(spec: TrialSpec, report: Report | None, device: str, into: Path | None = None) -> TrialResult:
    started, started_s = time.monotonic(), time.time()
    layout = Layout(into or Path(spec.run))
    family = get_family(spec.family)
    if family.version != spec.family_version:
        raise MachineFault(
            f"The trial was planned with version {spec.family_version} of family {family.name!r}, but this worker has "
            f"version {family.version}: install the same emofuse everywhere."
        )
    if (code := family_sha256(family.name)) != spec.plugin_sha256:
        raise MachineFault(
            f"The trial was planned with a plug-in of sha256 {spec.plugin_sha256[:12] or 'none'} for family "
            f"{family.name!r}, but this worker has {code[:12] or 'none'}: install the same package everywhere, and "
            "leave a file as it is while a search runs."
        )
    data = read_data(spec)
    if spec.annotations:
        data = ContinuousData.of(data, spec)
    model = _build(family, spec, data, device)
    fitted = _fit(model, spec, data, report, layout.checkpoint_folder(spec.trial_key))
    outputs = outputs_of(model, data)
    metrics = outputs.metrics()
    if spec.keep_model or (spec.keep_from is not None and _value(spec, metrics) >= spec.keep_from):
        _save(model, layout.model_folder(spec.trial_key))
    if spec.keep_encodings:
        write_encodings(layout, spec, model, data)
    footer = replace(
        _footer(spec, data, fitted, device),
        metrics=metrics,
        started_s=round(started_s, 3),
        wall_s=round(wall_s := time.monotonic() - started, 3),
        gpu_s=round(wall_s * spec.gpu, 3) if device.startswith("cuda") else 0.0,
        predict_s=float(f"{outputs.predict_s:.3g}"),
    )
    path = outputs.write(layout.path, footer)
    layout.drop_checkpoint(spec.trial_key)
    layout.clear_outcome(spec.trial_key)
    return _result(footer, path)


def _fit(model: Model, spec: TrialSpec, data: TrialData, report: Report | None, checkpoint: Path) -> FitResult:
    held_out = data.labelled(data.partition.held_out_ids) if data.partition.held_out_ids else None
    share = len(held_out) / len(data.partition.held_out_ids) if held_out else 1.0
    return model.fit(
        data.labelled(data.partition.fit_ids),
        held_out,
        epochs=spec.epochs,
        max_epochs=spec.max_epochs,
        report=_over_all_clips(report, share) if report else None,
        resume=checkpoint,
    )


def _footer(spec: TrialSpec, data: TrialData, fitted: FitResult, device: str) -> Footer:
    """What the footer says of the trial, its training and this process; not its scores and times."""
    return Footer(
        trial_key=spec.trial_key,
        config_key=spec.config_key,
        family=spec.family,
        entry=spec.entry,
        hyperparameters=dict(spec.hyperparameters),
        partition=spec.partition,
        classes=data.classes,
        seed=spec.seed,
        epochs=fitted.epochs,
        best_epoch=fitted.best_epoch,
        metrics={},
        inputs=dict(spec.inputs),
        feature_keys=dict(spec.feature_keys),
        clips_fingerprint=spec.clips_fingerprint,
        curve=tuple(dict(row) for row in fitted.curve),
        worker=f"{socket.gethostname()}:{os.getpid()}",
        versions=library_versions(),
        git_revision=git_revision(),
        parents=tuple(dict.fromkeys((*spec.parents, *spec.encoder_keys.values()))),
        stage=spec.stage,
        family_version=spec.family_version,
        recipe_seed=spec.recipe_seed,
        max_epochs=spec.max_epochs,
        batch_size=spec.used_batch,
        device=device,
        cpu=spec.cpu,
        weights_sha256=spec.weights_sha256,
        encoders=spec.encoder_keys,
        dimensions=data.dimensions,
        annotations=spec.annotations,
        plugin_sha256=spec.plugin_sha256,
        metric=spec.metric if spec.metric not in DEFAULT_METRICS else None,
        repeat=spec.repeat,
        training=dict(spec.training),
    )


def _build(family: Family, spec: TrialSpec, data: TrialData, device: str) -> Model:
    shapes = {slot: tuple(stored.shape) for slot, stored in data.sets.items()}
    columns = {slot: stored.info.columns for slot, stored in data.sets.items()}
    metric = "accuracy" if spec.metric == "ccc" else spec.metric
    context = Context(data.classes, shapes, spec.seed, device, trial_weights(spec), columns, data.dimensions, metric)
    batch = {} if spec.batch_size is None else {NAME: spec.batch_size}
    model = build_whitened(family, {**spec.hyperparameters, **batch}, context, whitenings(spec.inputs))
    if not spec.training:
        return model
    from models.training.wishes import with_wishes  # torch, which not every family needs

    return with_wishes(model, spec.training)


def _value(spec: TrialSpec, metrics: Mapping[str, float]) -> float:
    value = search_value(metrics, spec.metric)
    return -math.inf if value is None else value


def _save(model: Model, folder: Path) -> None:
    try:
        with replacing_folder(folder) as temporary:
            model.save(temporary)
            seal_folder(temporary)
    except OSError:
        # After a network cut a second worker of this trial may have put the same model in place in the same moment.
        if not folder.exists():
            raise


def _over_all_clips(report: Report, share: float) -> Report:
    """`report`, told the accuracy over all held-out clips when only a `share` of them has features; CCC likewise."""

    def scaled(epoch: int, metrics: dict[str, float]) -> None:
        told = ("accuracy", "ccc")
        report(epoch, {name: value * share if name in told else value for name, value in metrics.items()})

    return scaled


def _result(footer: Footer, path: Path) -> TrialResult:
    return TrialResult(
        footer.trial_key,
        footer.config_key,
        footer.entry,
        footer.partition,
        "finished",
        value=footer.value,
        metrics=footer.metrics,
        epochs=footer.epochs,
        best_epoch=footer.best_epoch,
        wall_s=footer.wall_s,
        path=path,
        gpu_s=footer.gpu_s,
    )
