"""Own arrays of probabilities as the held-out predictions that fitting code takes."""

from collections.abc import Sequence

import numpy as np

from ensembles.fusion.base import check_probabilities
from ensembles.predictions.sets import HeldOut, Member
from features.errors import WrongUse
from features.spelling import one_spelling
from search.run.predictions import Footer


def held_out_of_arrays(
    P: np.ndarray,
    y: Sequence[str] | Sequence[int] | np.ndarray,
    *,
    groups: Sequence[str] | None = None,
    valid: np.ndarray | None = None,
    classes: Sequence[str] | None = None,
    members: Sequence[str] | None = None,
) -> HeldOut:
    """`P` (M, N, C), labels `y` (N,), `groups` (N,) and `valid` (M, N) as `HeldOut`.

    Labels are class numbers, or names of `classes`, which default to the sorted names that occur. Without `groups`
    every clip is one by itself. Names that differ by case, blanks or Unicode form are one.

    Errors: EmofuseError for probabilities that are none, WrongUse for lengths that don't
    fit together and labels that are no class.
    """
    P, valid = check_probabilities(P, valid)
    M, N, C = P.shape
    labels = np.asarray(y)
    if labels.shape != (N,):
        raise WrongUse(f"Expected one label per clip, shape {(N,)}, but got {labels.shape}.")
    if not np.issubdtype(labels.dtype, np.integer):
        chosen = one_spelling(map(str, labels), "label", "y", classes or ())
        labels = np.array([chosen[str(label)] for label in labels])
    names = _classes(labels, C, classes)
    groups = [str(n) for n in range(N)] if groups is None else [str(group) for group in groups]
    same = one_spelling(groups, "group", "groups")
    groups = [same[group] for group in groups]
    if len(groups) != N:
        raise WrongUse(f"Expected one group per clip, {N} of them, but got {len(groups)}.")
    entries = [f"member{m}" for m in range(M)] if members is None else [str(member) for member in members]
    if len(entries) != M or len(set(entries)) != M:
        raise WrongUse(f"Expected {M} different names of members, one per array of P, but got {', '.join(entries)}.")
    return HeldOut(
        members=tuple(Member(entry, "", {"": _footer(entry, names)}) for entry in entries),
        classes=names,
        ids=tuple(str(n) for n in range(N)),
        groups=tuple(groups),
        P=np.where(valid[:, :, None], P, np.float32(1 / C)),
        valid=valid,
        y=_numbers(labels, names),
    )


def _classes(labels: np.ndarray, C: int, classes: Sequence[str] | None) -> tuple[str, ...]:
    if classes is not None:
        names = tuple(str(name) for name in classes)
    elif np.issubdtype(labels.dtype, np.integer):
        names = tuple(str(c) for c in range(C))
    else:
        names = tuple(sorted({str(label) for label in labels}))
    if len(names) != C or len(set(names)) != C:
        raise WrongUse(
            f"Expected {C} different classes, as P has scores of, but got {len(names)}: {', '.join(names)}; "
            "name them in the order of P's last axis with classes=[...]."
        )
    return names


def _numbers(labels: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
    if np.issubdtype(labels.dtype, np.integer):
        wrong = labels[(labels < 0) | (labels >= len(classes))]
        if len(wrong):
            raise WrongUse(f"Expected labels from 0 to {len(classes) - 1}, but got {wrong[0]}.")
        return labels.astype(np.int64)
    number = {name: c for c, name in enumerate(classes)}
    for label in labels:
        if str(label) not in number:
            raise WrongUse(f"Expected labels among {', '.join(classes)}, but got {label!r}.")
    return np.array([number[str(label)] for label in labels])


def _footer(entry: str, classes: tuple[str, ...]) -> Footer:
    return Footer(
        trial_key="",
        config_key="",
        family="arrays",
        entry=entry,
        hyperparameters={},
        partition="",
        classes=classes,
        seed=0,
        epochs=0,
        best_epoch=0,
        metrics={},
    )
