"""Let other tools' predictions join an ensemble, and give ours to other tools."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from ensembles.predictions.joining import (
    IMPORTED,
    Known,
    entry_of,
    joined,
    of_entries,
    refuse_other_roles,
    tell_strangers,
)
from ensembles.predictions.long_format import LongTable, one_role_each, read_long, role_of, write_long
from ensembles.predictions.scan import pool, scan
from ensembles.predictions.sets import NOT_POOLED, members_of
from features.errors import EmofuseError, WrongUse
from features.files import content_key
from features.names import unknown_name
from features.progress import say
from features.spelling import key, quoted
from search.run.predictions import ROLES, Footer, Predictions, prediction_files, write_predictions


@dataclass(frozen=True)
class Imported:
    """What an import wrote: the models' entries, sample counts by role, and what had to be mended.

    `replaced` are the keys of predictions that gave way, `softmax` the rows that were logits.
    """

    entries: tuple[str, ...]
    samples: Mapping[str, int]
    normalised: int
    missing: int
    softmax: int = 0
    replaced: tuple[str, ...] = ()


def import_long(
    file: Path,
    run: Path,
    roles: Mapping[str, str] | None = None,
    max_gb: float | None = None,
    *,
    logits: bool = False,
    replace: bool = False,
) -> Imported:
    """Write each model of a long table as a prediction file of the run folder, which is made where absent.

    Rows of the split validation (val, dev, oof) become held out, train rows fit, test rows test; `roles` overrides,
    e.g. {"train": "held_out"} for models that were never fitted on train. Rows with NaN become missing clips, rows that
    don't sum to 1 are normalised, `logits` go through softmax. A sample's group is `group_id`, else what the run says
    of it, else the sample itself. A model that the run has already with other predictions is refused, or with `replace`
    takes their place. Errors: clips with other groups, labels or classes than in the run.
    """
    for role in (roles or {}).values():
        if role not in ROLES:
            raise unknown_name("role", role, ROLES)
    long = read_long(file, max_gb, logits)
    roles = one_role_each(roles or {}, set(long.split), file)
    places = {split: role_of(split, roles, file) for split in set(long.split)}
    there = [trial for trial in scan(run) if trial.footer.partition != "stills"] if prediction_files(run) else []
    entries = {model: entry_of(model) for model in sorted(set(long.model))}
    keys = [key(entry) for entry in entries.values()]
    clash = next((entry for entry in entries.values() if keys.count(key(entry)) > 1), None)
    if clash:
        raise EmofuseError(f"{file}: two model names become the same entry {clash!r}; rename one of them.")
    same = of_entries(there, entries.values())
    others = [trial for trial in there if trial not in same]
    known = Known.of(others)
    long = joined(long, known, file)
    refuse_other_roles(long.sample_id, [places[split][1] for split in long.split], known, file)
    groups = _groups(long, Known.of(there), file)
    trials = [_trial(long, model, places, groups) for model in entries]
    written = {trial.footer.trial_key: trial.footer.entry for trial in trials}
    stale = [trial for trial in same if written.get(trial.footer.trial_key) != trial.footer.entry]
    if stale and not replace:
        names = quoted(sorted({trial.footer.entry for trial in stale}))
        raise WrongUse(
            f"{file}: the run already has other predictions of {names}; give --replace to put these in their place, or "
            "rename the model."
        )
    scored = {trial.footer.entry: _scored(trial.clip_id, trial.role) for trial in trials}
    for other in others:
        scored[other.footer.entry] = scored.get(other.footer.entry, set()) | _scored(other.rows.ids, other.rows.roles)
    tell_strangers(scored, file)
    for trial in trials:
        write_predictions(run, trial)
    for old in stale:
        Path(old.path).unlink(missing_ok=True)
    role_by_sample = dict(zip(long.sample_id, (places[split][1] for split in long.split), strict=True))
    counts = {role: sum(found == role for found in role_by_sample.values()) for role in ROLES}
    replaced = tuple(trial.footer.trial_key for trial in stale)
    return Imported(tuple(written.values()), counts, long.normalised, long.missing, long.softmax, replaced)


def _scored(ids: Iterable[str], roles: Iterable[str]) -> set[str]:
    return {clip_id for clip_id, role in zip(ids, roles, strict=True) if role != "fit"}


def _groups(long: LongTable, known: Known, file: Path) -> np.ndarray:
    if long.group is not None:
        return long.group
    groups = np.array([known.groups.get(sample, sample) for sample in long.sample_id], dtype=object)
    alone = set(long.sample_id[groups == long.sample_id])
    if alone:
        unread = f" (not read: {', '.join(long.unread)})" if long.unread else ""
        say(
            f"warning: {file}: without a column group_id (speaker, subject or film){unread} {len(alone)} of "
            f"{len(set(long.sample_id))} clips are groups by themselves: estimates and intervals take clips of one "
            "person for independent ones"
        )
    return groups


def _trial(long: LongTable, model: str, places: Mapping[str, tuple[str, str]], groups: np.ndarray) -> Predictions:
    rows = np.flatnonzero(long.model == model)
    rows = rows[np.argsort(long.sample_id[rows], kind="stable")]
    entry = entry_of(model)
    splits, roles = zip(*(places[split] for split in long.split[rows]), strict=True)
    held_out = {split for split, role in zip(splits, roles, strict=True) if role == "held_out"}
    # Held-out rows of the train split can only come from folds: the model behind them is not one that saw all of train.
    partition = "oof" if "train" in held_out else "train"
    digest = content_key(
        [entry, long.sample_id[rows].tolist(), list(roles), long.P[rows].tolist(), long.valid[rows].tolist()]
    )
    footer = Footer(
        trial_key=content_key([digest, partition]),
        config_key=digest,
        family=IMPORTED,
        entry=entry,
        hyperparameters={},
        partition=partition,
        classes=long.classes,
        seed=0,
        epochs=0,
        best_epoch=0,
        metrics={},
    )
    return Predictions(
        footer,
        tuple(long.sample_id[rows]),
        tuple(groups[rows]),
        splits,
        roles,
        tuple(long.label[rows]),
        long.valid[rows],
        long.P[rows],
    )


@dataclass(frozen=True)
class Dumped:
    """What a long table holds: models, rows, and why members were left out."""

    models: int
    rows: int
    left_out: Mapping[str, str]


def dump_long(run: Path, file: Path, partitions: Sequence[str] | None = None, raw: bool = False) -> Dumped:
    """Write `long_table` to a file, CSV or Parquet by its suffix; `raw` as in `write_long`."""
    table, done = long_table(run, partitions)
    write_long(file, table, raw)
    return done


def long_table(run: Path, partitions: Sequence[str] | None = None) -> tuple[pa.Table, Dumped]:
    """A run's members (of several seeds the first) as a long table: held-out rows as validation, test rows as test.

    Rows that members were fitted on are there as train for clips that are not held out. Clips that a member could not
    score have NaN. `partitions` says which trials are pooled (None: all).
    """
    trials = [t for t in scan(run) if t.footer.partition not in NOT_POOLED and not t.footer.repeat]
    wanted = tuple(sorted({trial.footer.partition for trial in trials})) if partitions is None else tuple(partitions)
    chosen, left_out = members_of(trials, wanted)
    if not chosen:
        raise EmofuseError(f"{run}: no member has a trial on every one of the partitions {', '.join(wanted)}.")
    classes = tuple(sorted(chosen[0][0].footer.classes))
    pooled = {role: pool([its_trials for _, its_trials in chosen], role) for role in ("held_out", "test", "fit")}
    held_out = set(pooled["held_out"].ids)
    parts = []
    for role, split in (("held_out", "validation"), ("test", "test"), ("fit", "train")):
        rows = pooled[role]
        keep = [n for n, clip in enumerate(rows.ids) if role != "fit" or clip not in held_out]
        for m, (member, _) in enumerate(chosen):
            P = np.where(rows.valid[m, keep, None], rows.P[m, keep], np.nan)
            columns = {
                "sample_id": pa.array([rows.ids[n] for n in keep], pa.string()),
                "group_id": pa.array([rows.groups[n] for n in keep], pa.string()),
                "split": pa.array([split] * len(keep), pa.string()),
                "label": pa.array([rows.labels[n] for n in keep], pa.string()),
                "model": pa.array([member.name] * len(keep), pa.string()),
            }
            columns |= {f"p_{name}": pa.array(P[:, c]) for c, name in enumerate(classes)}
            parts.append(pa.table(columns))
    table = pa.concat_tables(parts)
    return table, Dumped(len(chosen), table.num_rows, left_out)
