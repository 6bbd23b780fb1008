"""Labels of test clips that the organisers give later: a CSV or Parquet file with the columns clip_id and label.

Of recordings: clip_id, time_s and a column for each dimension, or a folder of AVEC label files (later_annotations.py).
"""

from pathlib import Path

import pyarrow as pa

from ensembles.predictions.later_annotations import TestAnnotations, read_test_annotations
from ensembles.predictions.sealed_scores import TestLabels
from features.errors import EmofuseError
from features.tables.user_tables import id_texts, label_texts, read_user_table

_COLUMNS = ("clip_id", "label")


def read_test_labels(path: Path) -> TestLabels | TestAnnotations:
    """The labels of `path`, sealed: scores can be held against them, but nothing can be fitted on them.

    A table with a column `time_s` and a folder of AVEC label files are labels over time, a table with `label` classes.
    """
    if path.is_dir():
        return read_test_annotations(path, None)
    table = read_user_table(path, dict.fromkeys(_COLUMNS, pa.string()), "labels of test clips")
    if {"clip_id", "time_s"} <= set(table.column_names):
        return read_test_annotations(path, table)
    if lacking := set(_COLUMNS) - set(table.column_names):
        raise EmofuseError(
            f"{path}: expected the columns {' and '.join(_COLUMNS)}, but {' and '.join(sorted(lacking))} is missing "
            f"among {', '.join(table.column_names)}."
        )
    ids, labels = id_texts(path, "clip_id", table["clip_id"]), label_texts(path, "label", table["label"])
    found: dict[str, str] = {}
    for clip_id, label in zip(ids, labels, strict=True):
        if clip_id is None or label is None:
            raise EmofuseError(f"{path}: clip {clip_id!r} has the label {label!r}; every row needs both.")
        if found.setdefault(clip_id, label) != label:
            raise EmofuseError(f"{path}: clip {clip_id!r} is labelled {found[clip_id]!r} and {label!r}.")
    return TestLabels(found, str(path))
