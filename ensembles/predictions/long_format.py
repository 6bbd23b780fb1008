"""Predictions of other tools in long format, in and out: one row per clip and model.

Columns `sample_id, split, label, model, p_<class>...` in any order, `group_id` if known; CSV or Parquet by suffix.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from features.clips import refuse_many_classes
from features.errors import EmofuseError, WrongUse
from features.files import replacing
from features.names import unknown_name
from features.spelling import key, one_spelling, refuse_alike, tell_words, trimmed
from features.tables.spreadsheets import quoted
from features.tables.user_tables import id_texts, label_texts, read_user_table

_KEYS = ("sample_id", "split", "label", "model")
# How tools name their splits: (the clip table's split, the role that the rows play).
SPLITS: Mapping[str, tuple[str, str]] = {
    "train": ("train", "fit"),
    "val": ("val", "held_out"),
    "valid": ("val", "held_out"),
    "validation": ("val", "held_out"),
    "dev": ("val", "held_out"),
    "oof": ("train", "held_out"),
    "test": ("test", "test"),
}
_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class LongTable:
    """A checked long table. `P` (R, C) rows sum to 1 (uniform where `valid` is False); `group` None: not given.

    `normalised` counts the rows whose scores did not sum to 1, `missing` those without scores, `softmax` those that
    were logits. `unread` are the columns that mean nothing here.
    """

    classes: tuple[str, ...]
    sample_id: np.ndarray
    split: np.ndarray
    label: np.ndarray
    model: np.ndarray
    group: np.ndarray | None
    P: np.ndarray
    valid: np.ndarray
    normalised: int
    missing: int
    softmax: int = 0
    unread: tuple[str, ...] = ()


def read_long(path: Path, max_gb: float | None = None, logits: bool = False) -> LongTable:
    """Read and check a long table; `logits` go through softmax. Errors name the column, or the model and sample.

    One that takes more than `max_gb` of memory is refused (default: features.disk.sizes).
    """
    table = _read_table(path, max_gb)
    lacking = set(_KEYS) - set(table.column_names)
    columns = {trimmed(name[2:]): name for name in table.column_names if name.startswith("p_")}
    classes = tuple(sorted(columns))
    if lacking or len(classes) < 2:
        raise EmofuseError(
            f"{path}: expected the columns {', '.join(_KEYS)} and p_<class> for two classes or more, but it has "
            f"{', '.join(table.column_names)}."
        )
    refuse_many_classes(path, len(classes))
    refuse_alike(classes, "class", path, "give each class one column p_<class>")
    if not table.num_rows:
        raise EmofuseError(f"{path}: expected predictions, but the table has no rows.")
    texts = {name: _texts(table, name, path) for name in (*_KEYS, "group_id") if name in table.column_names}
    for name in {"sample_id", "split", "model", "group_id"} & set(texts):
        if any(text is None for text in texts[name]):
            raise EmofuseError(f"{path}: column {name} has an empty value; every row needs one.")
    _spell(texts, classes, path)
    P = np.stack([_numbers(table, columns[name], path) for name in classes], axis=1)
    if logits:
        P = _softmax(P, texts, path)
    long = LongTable(
        classes,
        texts["sample_id"],
        texts["split"],
        texts["label"],
        texts["model"],
        texts.get("group_id"),
        *_distributions(P, texts, path),
        softmax=int((~np.isnan(P).any(axis=1)).sum()) if logits else 0,
        unread=tuple(n for n in table.column_names if n not in (*_KEYS, "group_id", *columns.values())),
    )
    _check_rows(long, path)
    _check_groups(long, path)
    return long


def _read_table(path: Path, max_gb: float | None) -> pa.Table:
    types = {name: pa.string() for name in (*_KEYS, "group_id")}
    return read_user_table(path, types, "predictions in long format", max_gb)


def _texts(table: pa.Table, name: str, path: Path) -> np.ndarray:
    read = id_texts if name == "sample_id" else label_texts
    return np.array(read(path, name, table[name]), dtype=object)


def _spell(texts: dict[str, np.ndarray], classes: Sequence[str], path: Path) -> None:
    """Give each label, split, model and group one spelling; a sample in two is refused."""
    known: dict[str, Sequence[str]] = {"label": classes, "split": tuple(SPLITS)}
    for name in [name for name in ("label", "split", "model", "group_id") if name in texts]:
        chosen = one_spelling(texts[name], name, path, known.get(name, ()))
        texts[name] = np.array([None if text is None else chosen[text] for text in texts[name]], dtype=object)
        if name in ("label", "group_id"):
            tell_words(texts[name], name, path)
    refuse_alike(texts["sample_id"], "sample", path, "write each sample's id in one way")


def _numbers(table: pa.Table, name: str, path: Path) -> np.ndarray:
    try:
        return pc.cast(table[name], pa.float64()).to_numpy()
    except pa.ArrowException:
        raise EmofuseError(f"{path}: column {name} has to hold numbers, but its type is {table[name].type}.") from None


def _softmax(P: np.ndarray, texts: Mapping[str, np.ndarray], path: Path) -> np.ndarray:
    """Logits (R, C) as probabilities; rows with NaN stay without scores. WrongUse where they are probabilities."""
    known = ~np.isnan(P).any(axis=1)
    if known.any() and (P[known] >= 0).all() and (np.abs(P[known].sum(axis=1) - 1) <= _SUM_TOLERANCE).all():
        raise WrongUse(f"{path}: its scores are probabilities already, each row sums to 1; leave --logits out.")
    top = np.max(P, axis=1, initial=-np.inf)
    bad = known & ~np.isfinite(top)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise EmofuseError(
            f"{path}: model {texts['model'][row]!r} gives sample {texts['sample_id'][row]!r} the logits "
            f"{P[row].tolist()}; expected a finite one as the largest."
        )
    odds = np.exp(P - np.where(np.isfinite(top), top, 0)[:, None])
    return odds / odds.sum(axis=1, keepdims=True)


def _distributions(
    P: np.ndarray, texts: Mapping[str, np.ndarray], path: Path
) -> tuple[np.ndarray, np.ndarray, int, int]:
    valid = ~np.isnan(P).any(axis=1)
    bad = valid & ((P < 0).any(axis=1) | np.isinf(P).any(axis=1))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise EmofuseError(
            f"{path}: model {texts['model'][row]!r} gives sample {texts['sample_id'][row]!r} the scores "
            f"{P[row].tolist()}; probabilities can't be negative or infinite (logits need --logits)."
        )
    sums = np.where(valid, P.sum(axis=1), 0)
    valid &= sums > 0
    normalised = int((np.abs(sums[valid] - 1) > _SUM_TOLERANCE).sum())
    P = np.where(valid[:, None], P / np.where(valid, sums, 1)[:, None], 1 / P.shape[1])
    return P.astype(np.float32), valid, normalised, int((~valid).sum())


def _check_rows(long: LongTable, path: Path) -> None:
    seen: dict[str, tuple[str, str | None]] = {}
    pairs = set()
    for sample, split, label, model in zip(long.sample_id, long.split, long.label, long.model, strict=True):
        if label is not None and label not in long.classes:
            raise EmofuseError(
                f"{path}: sample {sample!r} is labelled {label!r}, but there is no column p_{label}; "
                f"the classes are {', '.join(long.classes)}."
            )
        if seen.setdefault(sample, (split, label)) != (split, label):
            raise EmofuseError(
                f"{path}: sample {sample!r} has the split and label {seen[sample]} in one row and {(split, label)} in "
                "another; every sample has one of each."
            )
        if (sample, model) in pairs:
            raise EmofuseError(f"{path}: model {model!r} scores sample {sample!r} twice; expected one row for each.")
        pairs.add((sample, model))


def _check_groups(long: LongTable, path: Path) -> None:
    found: dict[str, str] = {}
    rows = () if long.group is None else zip(long.sample_id, long.group, long.model, strict=True)
    for sample, group, model in rows:
        if found.setdefault(sample, group) != group:
            raise EmofuseError(
                f"{path}: sample {sample!r} has the group_id {found[sample]!r} in one row and {group!r} in that of "
                f"model {model!r}; every sample has one."
            )


def one_role_each(roles: Mapping[str, str], splits: Collection[str], path: Path) -> dict[str, str]:
    """The roles by the table's splits, however these are spelt; WrongUse for a split that it doesn't have."""
    own = {key(split): split for split in splits}
    for split in roles:
        if key(split) not in own:
            raise WrongUse(f"{path} has no rows of split {split!r}; its splits are {', '.join(sorted(splits))}.")
    return {own[key(split)]: role for split, role in roles.items()}


def role_of(split: str, roles: Mapping[str, str], path: Path) -> tuple[str, str]:
    """(split of the clip table, role) for a tool's split name; `roles` overrides the role of some."""
    if split not in SPLITS:
        raise EmofuseError(f"{path}: {unknown_name('split', split, SPLITS)}")
    own, role = SPLITS[split]
    return own, roles.get(split, role)


def write_long(path: Path, table: pa.Table, raw: bool = False) -> None:
    """Write a long table, whole or not at all, as CSV or Parquet by suffix.

    Text in a CSV that a spreadsheet would run as a formula gets a `'` before it, unless `raw`.
    """
    kind = path.suffix.lower()
    if kind not in (".csv", ".parquet"):
        raise WrongUse(f"{path}: a long table is written as .csv or .parquet, but got {path.suffix!r}.")
    with replacing(path) as temporary:
        if kind == ".csv":
            pa_csv.write_csv(table if raw else quoted(table), temporary)
        else:
            pq.write_table(table, temporary, compression="zstd")
