"""Read all prediction files of a run, fast.

Files that the cache doesn't have are scanned as one dataset, the others come from it. The clips of a table are parsed
once for all trials that share them.
"""

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from ensembles.predictions.cache import Content, ScoreArrays, Stamp, read_cache, stamp, write_cache
from ensembles.predictions.reading import SharedTables, read_content, read_files
from features.errors import EmofuseError
from features.terminal import command
from search.run.predictions import FOOTER, ROW_COLUMNS, Footer, parse_footer, prediction_names

_FEW = 256  # new files that are read each time rather than written into the cache


@contextmanager
def without_collector() -> Iterator[None]:
    """Make many objects that all stay: looking for garbage among them takes a third of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@dataclass(frozen=True, eq=False)
class Rows:
    """The clips of a prediction file without their scores, shared by all files that have the same."""

    ids: tuple[str, ...]
    groups: tuple[str, ...]
    splits: tuple[str, ...]
    roles: np.ndarray
    labels: tuple[str | None, ...]

    def places(self, role: str, split: str | None = None) -> np.ndarray:
        """The rows of a role, and of a split of the clip table if one is given."""
        chosen = self.roles == role
        return np.flatnonzero(chosen if split is None else chosen & (np.array(self.splits) == split))


@dataclass(frozen=True, eq=False)
class Trial:
    """One prediction file. `scores()` is P (n, C) float32 with columns in sorted class order, and valid (n,) bool.

    `held_out_accuracy` is the accuracy on its own labelled held-out rows; None where it has none.
    """

    path: str
    footer: Footer
    rows: Rows
    held_out_accuracy: float | None
    scores: Callable[[], ScoreArrays]


@without_collector()
def scan(run: Path) -> list[Trial]:
    """All trials of the run that tell classes apart, in the order of their paths.

    Errors: no such files, a broken one, another schema version.
    """
    names = prediction_names(run)
    if not names:
        raise EmofuseError(
            f"{run}: expected prediction files under predictions/, but there is none; "
            "run `emofuse search run` or `emofuse ensemble import` first."
        )
    contents = _contents(run, names)
    if not contents:
        raise EmofuseError(
            f"{run}: its predictions are of continuous emotion, not of classes, which this command is for; "
            f"`{command('ensemble', 'leaderboard', run)}` and `ensemble fit`, `refit` and `export` take both."
        )
    known = _KnownRows()
    folder = f"{run / 'predictions'}"
    return [_trial(f"{folder}/{name}", contents[name], known) for name in names if name in contents]


def _contents(run: Path, names: Sequence[str]) -> dict[str, Content]:
    """What the files hold, from the cache where it has them as they are; then the cache is brought up to date."""
    folder = run / "predictions"
    stamps = {name: at for name in names if (at := stamp(f"{folder}/{name}"))}
    cached = _cached(run)
    contents = {name: content for name, (at, content) in cached.items() if at == stamps.get(name)}
    fresh = [name for name in names if name not in contents]
    shared = SharedTables(content.rows for _, content in cached.values())
    digests = {content.digest: content for _, content in cached.values()} if fresh else {}
    contents |= read_files({name: folder / name for name in fresh}, shared, digests)
    settled = {name: (at, contents[name]) for name, at in stamps.items() if name in contents and at.settled}
    outdated = len(settled.keys() & set(fresh)) + len(cached.keys() - set(names))
    if outdated > max(_FEW, len(names) // 50) and write_cache(run, settled):
        # What was read stays in memory; what the cache has needs not.
        written = _cached(run)
        contents |= {name: written[name][1] for name, (at, _) in settled.items() if written.get(name, (None,))[0] == at}
    return contents


def _cached(run: Path) -> dict[str, tuple[Stamp, Content]]:
    return read_cache(run, lambda name: read_content(run / "predictions" / name))


def _trial(path: str, content: Content, known: "_KnownRows") -> Trial:
    footer = parse_footer({FOOTER: content.footer}, path)
    return Trial(path, footer, known.get(content.rows), content.accuracy, content.scores)


@dataclass
class _KnownRows:
    """Parsed rows by their table."""

    found: dict[int, Rows] = field(default_factory=dict)

    def get(self, table: pa.Table) -> Rows:
        if id(table) not in self.found:
            ids, groups, splits, roles, labels = (table[name].to_pylist() for name in ROW_COLUMNS)
            roles = np.array(roles, dtype=str)
            self.found[id(table)] = Rows(tuple(ids), tuple(groups), tuple(splits), roles, tuple(labels))
        return self.found[id(table)]


@dataclass(frozen=True, eq=False)
class Pooled:
    """Scores of M members over the N clips of one role, sorted by id; absent ones are uniform with `valid` False.

    `labels` holds None where a clip's label is unknown.
    """

    ids: tuple[str, ...]
    groups: tuple[str, ...]
    labels: tuple[str | None, ...]
    P: np.ndarray
    valid: np.ndarray


def pool(members: Sequence[Sequence[Trial]], role: str, split: str | None = None) -> Pooled:
    """Each member's scores on the clips of that role: the mean over those of its trials that could score the clip.

    `split` restricts them to a split of the clip table. Errors: a clip with two labels or in two groups.
    """
    clips = _clips((trial.rows for trials in members for trial in trials), role, split)
    ids = tuple(sorted(clips))
    place = {clip_id: n for n, clip_id in enumerate(ids)}
    C = len(members[0][0].footer.classes) if members else 0
    P = np.empty((len(members), len(ids), C), np.float32)  # zeros take longer than all that is put into them
    counts = np.zeros((len(members), len(ids)), np.uint16)
    selected: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    in_order: dict[int, bool] = {}
    for m, trials in enumerate(members):
        if len(trials) > 1:
            P[m] = 0
        for trial in trials:
            own = id(trial.rows)
            if own not in selected:
                rows, places = selected[own] = _selected(trial.rows, role, split, place)
                in_order[own] = len(rows) == len(trial.rows.ids) and bool((np.diff(rows) > 0).all())
            rows, places = selected[own]
            if not len(rows):
                continue
            scores, known = trial.scores()
            scored = known[rows]
            if len(trials) == 1 and len(rows) == len(ids) and scored.all():
                if in_order[own]:
                    P[m] = scores
                else:  # with a check of the rows it takes twice as long
                    np.take(scores, rows, axis=0, out=P[m], mode="clip")
                counts[m] = 1
            elif len(trials) == 1:
                P[m, places[scored]], counts[m, places[scored]] = scores[rows[scored]], 1
            else:
                P[m, places[scored]] += scores[rows[scored]]
                counts[m, places[scored]] += 1
    valid = counts > 0  # what nobody scored is uniform, below
    if (counts > 1).any():
        P /= np.maximum(counts, 1)[:, :, None]
    P[~valid] = 1 / max(C, 1)
    return Pooled(ids, tuple(clips[i][0] for i in ids), tuple(clips[i][1] for i in ids), P, valid)


def _selected(rows: Rows, role: str, split: str | None, place: Mapping[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """The rows of a role and their places among the pooled clips, in the order of the places."""
    found = rows.places(role, split)
    places = np.array([place[rows.ids[row]] for row in found], dtype=int)
    order = np.argsort(places)
    return found[order], places[order]


def _clips(all_rows: Iterable[Rows], role: str, split: str | None) -> Mapping[str, tuple[str, str | None]]:
    clips: dict[str, tuple[str, str | None]] = {}
    for rows in {id(rows): rows for rows in all_rows}.values():
        for n in rows.places(role, split):
            clip_id, group, label = rows.ids[n], rows.groups[n], rows.labels[n]
            known_group, known_label = clips.get(clip_id, (group, label))
            if group != known_group:
                raise EmofuseError(
                    f"Clip {clip_id!r} has the group {known_group!r} in one prediction file and {group!r} in another; "
                    "an ensemble needs predictions that were made from one clip table."
                )
            if label is not None and known_label is not None and label != known_label:
                raise EmofuseError(
                    f"Clip {clip_id!r} is labelled {known_label!r} in one prediction file and {label!r} in another; "
                    "an ensemble needs predictions that were made from one clip table."
                )
            clips[clip_id] = group, known_label if label is None else label
    return clips
