"""Which trials there are to run: an entry's, and the refit of a configuration."""

from collections.abc import Sequence
from dataclasses import replace

from features.annotations import FILE_NAME
from features.clips import ClipTable
from features.errors import EmofuseError
from features.files import file_sha256
from models.registry import family_sha256, get_family
from models.weights import WEIGHTS_FILE
from search.recipe.entry import Entry
from search.recipe.inputs import slots, source, split_layer
from search.recipe.recipe import StageName
from search.recipe.weights import weights_digest
from search.run.folder import RunFolder
from search.run.predictions import Footer, read_footer
from search.run.spec import TrialSpec
from search.study.activations import activation_key
from search.study.best import best_backbone, best_trials
from search.trial.data import open_input


def entry_spec(run: RunFolder, stage: StageName, entry: Entry) -> TrialSpec:
    """The entry's spec without its point and partition (see `TrialSpec.at`); checks that its features are there.

    An input `<backbone>.<layer>` needs a finished trial of that backbone and its activations (activations.py), a fusion
    finished trials of its members.
    """
    family = entry.record()
    table = run.table(stage)
    specs = entry.input_specs()
    keys: dict[str, str] = {}
    encoders: dict[str, dict[str, str]] = {}
    if stage == "fusion":
        for slot, (_, trials) in members(run, entry).items():
            keys[slot] = next(iter(trials.values())).config_key
            encoders[slot] = {partition: footer.trial_key for partition, footer in trials.items()}
    else:
        for slot, text in specs.items():
            key = activation_key(run, source(text), table) if split_layer(source(text)) else None
            keys[slot] = open_input(slots(family, specs)[slot], text, key, run.path, run.store, table).key
    weights, digest = _weights(run, entry)
    return TrialSpec(
        run=str(run.path),
        clips=str(run.table_path(stage)),
        store=str(run.store),
        stage=stage,
        entry=entry.name,
        family=family.name,
        family_version=family.version,
        inputs=specs,
        feature_keys=keys,
        clips_fingerprint=table.fingerprint,
        recipe_seed=run.recipe.seed,
        max_epochs=entry.max_epochs or family.max_epochs,
        keep_model=stage == "backbone",
        allow_shared_groups=run.recipe.allow_shared_groups,
        cpu=entry.request().cpu,
        gpu=entry.request().gpu,
        memory_mb=entry.request().memory_mb,
        stall_s=entry.request().stall_s,
        time_limit_s=entry.request().time_limit_s,
        weights=weights,
        weights_sha256=digest,
        encoders=encoders,
        annotations=_annotations(entry, table),
        plugin_sha256=family_sha256(family.name),
        metric=run.recipe.metric_of(entry),
        training=entry.training.wishes(),
    )


def _annotations(entry: Entry, table: ClipTable) -> str:
    """The fingerprint of the continuous labels that the entry learns; empty for one that learns classes."""
    if not entry.continuous:
        return ""
    if table.annotations is None:
        raise EmofuseError(
            f"Entry {entry.name!r} learns continuous emotion, but there is no {FILE_NAME} of these clips beside the "
            "clip table."
        )
    return table.annotations.fingerprint


def _weights(run: RunFolder, entry: Entry) -> tuple[str, str]:
    """The file of parameters that the entry starts from and its sha256; empty where there is none."""
    if entry.weights_from:
        backbone = best_backbone(run, entry.weights_from).trial_key
        run.check_model(backbone, "run the same search again: the backbone is trained again")
        path = run.model_folder(backbone) / WEIGHTS_FILE
        return str(path), file_sha256(path)
    return entry.weights or "", weights_digest(entry)


def members(run: RunFolder, entry: Entry) -> dict[str, tuple[TrialSpec, dict[str, Footer]]]:
    """For each slot of a fusion's `entry`: its member's spec, and the trials of its best configuration by partition.

    A fusion that is chosen on one partition takes the members that are best there.
    """
    found = {}
    for slot, text in entry.input_specs().items():
        stage, member = run.recipe.entry(source(text))
        base = entry_spec(run, stage, member)
        seeds = run.recipe.seeds_of(stage, member)
        found[slot] = base, best_trials(base, run.recipe.partition_names("fusion"), entry.choose_on, seeds)
    return found


def encoder_refits(run: RunFolder, parents: Sequence[Footer]) -> dict[str, TrialSpec]:
    """For each slot of a fusion whose trials `parents` are: the refit of what it reads, with its encodings kept."""
    found = {}
    for slot in parents[0].encoders:
        entry = source(parents[0].inputs[slot])
        footers = [read_footer(run.prediction(entry, parent.encoders[slot])) for parent in parents]
        found[slot] = replace(refit_spec(run, footers), keep_encodings=True)
    return found


def stored_spec(run: RunFolder, footer: Footer, purpose: str) -> TrialSpec:
    """The spec of the trial whose predictions have this footer, without limits of time; `purpose` is what it is for.

    Refused when the code or the pretrained weights are others by now, or clips and features lie elsewhere.
    """
    run.refuse_moved()
    family = get_family(footer.family)
    if family.version != footer.family_version:
        raise EmofuseError(
            f"Entry {footer.entry!r} was trained by version {footer.family_version} of family {family.name!r}, but "
            f"this emofuse has version {family.version}: run the search again before the {purpose}."
        )
    if (code := family_sha256(family.name)) != footer.plugin_sha256:
        raise EmofuseError(
            f"Entry {footer.entry!r} was trained by the plug-in of family {family.name!r} of sha256 "
            f"{footer.plugin_sha256[:12] or 'none'}, but here its code has {code[:12] or 'none'}: run the search again "
            f"before the {purpose}."
        )
    entry = {entry.name: entry for _, entry in run.recipe.all_entries()}.get(footer.entry)
    resources = entry.request() if entry else family.resources
    weights, digest = _weights(run, entry) if entry else ("", "")
    if digest != footer.weights_sha256:
        raise EmofuseError(
            f"Entry {footer.entry!r} was trained from pretrained weights of sha256 "
            f"{footer.weights_sha256[:12] or 'none'}, but the run's "
            f"recipe names {digest[:12] or 'none'}: give it the same file for the {purpose}."
        )
    return TrialSpec(
        run=str(run.path),
        clips=str(run.table_path(family.stage)),
        store=str(run.store),
        stage=family.stage,
        entry=footer.entry,
        family=footer.family,
        family_version=footer.family_version,
        inputs=dict(footer.inputs),
        feature_keys=dict(footer.feature_keys),
        clips_fingerprint=footer.clips_fingerprint,
        recipe_seed=footer.recipe_seed,
        max_epochs=footer.max_epochs,
        hyperparameters=dict(footer.hyperparameters),
        partition=footer.partition,
        epochs=footer.epochs if footer.partition == "full" else None,
        parents=footer.parents if footer.partition == "full" else (),
        keep_model=family.stage == "backbone" or footer.partition == "full",
        allow_shared_groups=run.recipe.allow_shared_groups,
        cpu=resources.cpu,
        gpu=resources.gpu,
        memory_mb=resources.memory_mb,
        weights=weights,
        weights_sha256=digest,
        batch_size=footer.batch_size,
        encoders={slot: {footer.partition: key} for slot, key in footer.encoders.items()},
        annotations=footer.annotations,
        plugin_sha256=footer.plugin_sha256,
        metric=footer.searched,
        repeat=footer.repeat,
        training=dict(footer.training),
    )


def refit_spec(run: RunFolder, parents: Sequence[Footer]) -> TrialSpec:
    """The refit on train and val of one configuration: its hyperparameters, and the epochs its parents stopped at.

    `parents` are the footers of the configuration's trials on its partitions. The epochs are the rounded mean of their
    best epochs (exact with one parent), the batch is the smallest that any of them was trained with. A backbone is
    never refitted (Kahou 2015). A fusion reads the encodings of its members' refits.
    """
    keys = {parent.config_key for parent in parents}
    if len(keys) != 1:
        raise EmofuseError(f"A refit copies one configuration, but got {len(keys)} ({', '.join(sorted(keys))}).")
    first = parents[0]
    if first.stage == "backbone":
        raise EmofuseError(f"Entry {first.entry!r} is a backbone: it is trained on stills once and never refitted.")
    spec = stored_spec(run, first, "refit")
    entry = {entry.name: entry for _, entry in run.recipe.all_entries()}.get(first.entry)
    resources = entry.request() if entry else get_family(first.family).resources
    batches = [parent.batch_size for parent in parents if parent.batch_size is not None]
    return replace(
        spec,
        partition="full",
        annotations=first.annotations,
        epochs=max(1, int(sum(parent.best_epoch for parent in parents) / len(parents) + 0.5)),
        parents=tuple(sorted(parent.trial_key for parent in parents)),
        keep_model=True,
        stall_s=resources.stall_s,
        time_limit_s=resources.time_limit_s,
        batch_size=min(batches, default=None),
        encoders={slot: {"full": spec.trial_key} for slot, spec in encoder_refits(run, parents).items()},
    )
