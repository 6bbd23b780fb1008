"""A bundle measured on labelled clips: metrics with intervals over groups, confusion, what is unlike and lacking."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ensembles.applying.asked import Asked, asked_of_table
from ensembles.applying.rows import Result
from ensembles.bundle.results import ClipPrediction
from ensembles.evaluation.intervals import Interval
from ensembles.evaluation.jackknife import intervals_of
from ensembles.evaluation.metrics import Scores, recalls, score
from features.clips import SPLITS, Clip, ClipTable
from features.errors import EmofuseError, WrongUse
from features.names import unknown_name

ALL = "all"


@dataclass(frozen=True, eq=False)
class Evaluated:
    """What a bundle says of N labelled clips: `P` (N, C), `y` (N,), by clip `groups`, `unlike` (N,) and whole results.

    `without` are clips with a label for which there is no prediction, with the reason.
    """

    classes: tuple[str, ...]
    clips: tuple[Clip, ...]
    results: tuple[ClipPrediction, ...]
    P: np.ndarray
    y: np.ndarray
    without: Mapping[str, str]

    @property
    def groups(self) -> list[str]:
        """Each clip's group."""
        return [clip.group_id for clip in self.clips]

    @property
    def unlike(self) -> np.ndarray:
        """(N,) whether each clip is unlike the training clips."""
        return np.array([bool(result.unlike) for result in self.results])

    @property
    def scores(self) -> Scores:
        """All metrics."""
        return score(self.y, self.P)

    def scores_of(self, some: np.ndarray) -> Scores | None:
        """All metrics of the clips `some` (N,) bool; None of none."""
        return score(self.y[some], self.P[some]) if some.any() else None

    @property
    def intervals(self) -> Mapping[str, Interval]:
        """95 % intervals over groups, by metric."""
        return intervals_of(self.y, self.P, self.groups)

    def as_data(self) -> dict[str, Any]:
        """For JSON."""
        scores = self.scores
        return {
            "clips": len(self.clips),
            "groups": len(set(self.groups)),
            **scores.metrics,
            "intervals": {name: [one.low, one.high] for name, one in self.intervals.items()},
            "classes": list(self.classes),
            "confusion": [list(row) for row in scores.confusion],
            "recall": dict(zip(self.classes, recalls(scores.confusion), strict=True)),
            "unlike": int(self.unlike.sum()),
            "without": dict(self.without),
        }


def labelled(table: ClipTable, split: str | None, classes: Sequence[str]) -> tuple[list[Clip], str]:
    """The clips to be scored and how they were chosen: those of `split`; by default of test, where any has a label.

    Errors: a split that there isn't, none with a label, labels that the bundle doesn't know.
    """
    if split is not None and split not in (*SPLITS, ALL):
        raise unknown_name("split", split, (*SPLITS, ALL))
    known = [clip for clip in table.clips if clip.label is not None]
    has_test = any(clip.split == "test" for clip in known)
    chosen = split or ("test" if has_test else ALL)
    clips = [clip for clip in known if chosen in (ALL, clip.split)]
    if not clips:
        raise EmofuseError(f"The clip table has no labelled clip of split {chosen}; it holds {_held(table)}.")
    strange = Counter(str(clip.label) for clip in clips if clip.label not in classes)
    if strange:
        name, count = strange.most_common(1)[0]
        raise WrongUse(
            f"The bundle knows the classes {', '.join(classes)}, but {count} clips are labelled {name!r}; give them "
            "the bundle's words with `emofuse clips merge CLIPS -o OUT --labels labels.yaml`."
        )
    some = "" if len(clips) == len(table) else f" of {len(table)}"
    return clips, f"{len(clips)}{some} clips" + ("" if chosen == ALL else f" (split {chosen})")


def _held(table: ClipTable) -> str:
    counts = Counter(clip.split for clip in table.clips if clip.label is not None)
    return ", ".join(f"{n} {split}" for split, n in sorted(counts.items())) or "no labels at all"


def asked_of(table: ClipTable, clips: Sequence[Clip]) -> list[Asked]:
    """The clips as the predictor takes them."""
    wanted = {clip.clip_id for clip in clips}
    return [one for one in asked_of_table(table) if one.name in wanted]


def evaluated(classes: tuple[str, ...], clips: Sequence[Clip], found: Iterator[tuple[Asked, Result]]) -> Evaluated:
    """Put what was predicted beside the labels. Errors: EmofuseError where no clip could be scored."""
    results = {asked.name: result for asked, result in found}
    scored, kept, without = [], [], {}
    for clip in clips:
        result = results[clip.clip_id]
        if isinstance(result, ClipPrediction) and result.probabilities:
            scored.append(clip)
            kept.append(result)
        else:
            without[clip.clip_id] = result.reason or ""
    if not scored:
        raise EmofuseError(f"None of the {len(clips)} clips could be scored; the first: {next(iter(without.values()))}")
    P = np.array([[result.probabilities[name] for name in classes] for result in kept])
    y = np.array([classes.index(str(clip.label)) for clip in scored])
    return Evaluated(classes, tuple(scored), tuple(kept), P, y, without)
