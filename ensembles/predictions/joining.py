"""Whether predictions of other tools fit those that a run has: told when they come, not when an ensemble is fitted."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ensembles.predictions.long_format import LongTable
from ensembles.predictions.scan import Trial
from features.errors import EmofuseError
from features.progress import say
from features.schema import shown
from features.spelling import key, matched, one_spelling, quoted

_LONGEST_NAME = 200  # it becomes part of a folder's name
IMPORTED = "imported"


@dataclass(frozen=True)
class Known:
    """What a run's predictions say of its clips, by clip_id; `classes` is None where it has no predictions."""

    classes: tuple[str, ...] | None
    groups: Mapping[str, str]
    labels: Mapping[str, str]
    roles: Mapping[str, str]

    @classmethod
    def of(cls, trials: Sequence[Trial]) -> "Known":
        """What these trials say; a clip that some of them fitted is held out or a test clip where others say so."""
        groups: dict[str, str] = {}
        labels: dict[str, str] = {}
        roles: dict[str, str] = {}
        for rows in {id(trial.rows): trial.rows for trial in trials}.values():
            groups.update(zip(rows.ids, rows.groups, strict=True))
            labels.update((i, label) for i, label in zip(rows.ids, rows.labels, strict=True) if label is not None)
            roles.update((i, str(role)) for i, role in zip(rows.ids, rows.roles, strict=True) if role != "fit")
        return cls(trials[0].footer.classes if trials else None, groups, labels, roles)


def joined(long: LongTable, known: Known, file: Path) -> LongTable:
    """The table with classes, ids, labels and groups spelt as the run has them.

    Errors: other classes, or a clip with another group or label than in the run.
    """
    if known.classes is None:
        return long
    of_class = one_spelling(long.classes, "class", file, known.classes)
    if {of_class[name] for name in long.classes} != set(known.classes):
        raise EmofuseError(
            f"{file}: its classes are {', '.join(long.classes)}, those of the run {', '.join(sorted(known.classes))}; "
            "the members of an ensemble need the same classes, so give it columns p_<class> for these, or another run."
        )
    ids = matched(long.sample_id, known.groups, "sample_id", file)
    label = [None if name is None else of_class[name] for name in long.label]
    long = replace(
        long,
        classes=tuple(of_class[name] for name in long.classes),
        sample_id=np.array([ids.get(name, name) for name in long.sample_id], dtype=object),
        label=np.array(label, dtype=object),
    )
    _refuse_other(long, label, known.labels, "label", file, "an ensemble needs one label for each clip")
    if long.group is None:
        return long
    of_group = one_spelling(long.group, "group_id", file, set(known.groups.values()))
    group = [of_group[name] for name in long.group]
    long = replace(long, group=np.array(group, dtype=object))
    remedy = (
        "an ensemble needs one group for each clip: correct the column, leave it out to take the run's groups, or "
        "import the other models again with these groups and --replace"
    )
    _refuse_other(long, group, known.groups, "group_id", file, remedy)
    return long


def _refuse_other(
    long: LongTable, values: Iterable[str | None], known: Mapping[str, str], what: str, file: Path, remedy: str
) -> None:
    others = {
        sample: (model, value)
        for sample, model, value in zip(long.sample_id, long.model, values, strict=True)
        if value is not None and known.get(sample, value) != value
    }
    if others:
        sample, (model, value) = next(iter(others.items()))
        more = f" (and so {len(others) - 1} more)" if len(others) > 1 else ""
        raise EmofuseError(
            f"{file}: model {model!r} has the {what} {value!r} for clip {sample!r}, but the run has "
            f"{known[sample]!r}{more}; {remedy}."
        )


def refuse_other_roles(ids: Iterable[str], roles: Iterable[str], known: Known, file: Path) -> None:
    """Refuse clips that are held out for one model and test clips for another: weights would be fitted on these."""
    for clip_id, role in zip(ids, roles, strict=True):
        if role != "fit" and known.roles.get(clip_id, role) != role:
            raise EmofuseError(
                f"{file}: clip {clip_id!r} is {_IN_WORDS[role]} here, but in the run "
                f"{_IN_WORDS[known.roles[clip_id]]}; correct its split, or give it another --role."
            )


_IN_WORDS = {"held_out": "held out", "test": "a test clip"}


def entry_of(model: str) -> str:
    """The name of a model's folder in the run."""
    entry = re.sub(r"[^\w.+-]+", "_", model).lstrip(".") or "model"
    if len(entry.encode()) > _LONGEST_NAME:
        raise EmofuseError(f"A model's name has at most {_LONGEST_NAME} bytes, but got {shown(model)}; shorten it.")
    return entry


def of_entries(trials: Iterable[Trial], entries: Iterable[str]) -> list[Trial]:
    """Those of the run's trials that have one of these names, however it is spelt.

    Errors: a name of one that the run trained itself.
    """
    keys = {key(entry) for entry in entries}
    found = [trial for trial in trials if key(trial.footer.entry) in keys]
    for trial in found:
        if trial.footer.family != IMPORTED:
            raise EmofuseError(
                f"The run trained an entry {trial.footer.entry!r} itself; give the imported model another name."
            )
    return found


def tell_strangers(clips: Mapping[str, Iterable[str]], file: Path) -> None:
    """Tell of models that score no clip which any other scores; `clips` are the ids by model."""
    own = {model: set(ids) for model, ids in clips.items()}
    counts = Counter(clip_id for ids in own.values() for clip_id in ids)
    alone = [model for model, ids in sorted(own.items()) if ids and all(counts[clip_id] == 1 for clip_id in ids)]
    if len(own) > 1 and alone:
        first = min(own[alone[0]])
        other = next((min(ids) for model, ids in own.items() if model != alone[0] and ids), "")
        say(
            f"warning: {file}: {len(alone)} of {len(own)} models share no clip with any other ({quoted(alone)}); the "
            f"first has clips like {first!r}, another {other!r}: where sample_id is a row number of each model's own "
            "table, give a clip the same id for all models, or no two of them can be compared or fused"
        )
