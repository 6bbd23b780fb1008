"""scikit-learn pipelines in skops files, whoever wrote them: no type but ours, no array larger than the file.

skops itself trusts all of scikit-learn, SciPy's and numpy's functions, which is far more than a stranger needs to fill
memory or to crash compiled code. Here the file's own list of what it is made of is read first.
"""

import io
import json
import math
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import skops.io
from numpy.lib import format as npy
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from features.errors import EmofuseError
from features.schema import shown
from features.tables.readable import Readable
from models.description import blaming

_OURS = ["models.svm.Chi2SVM", "models.svm.RbfSVM", "numpy.clip"]
# (how skops makes it, what it makes): all that `models.svm.svm_pipeline` and the families' own pipelines consist of.
_KNOWN = frozenset(
    [
        ("DictNode", "builtins.dict"),
        ("ListNode", "builtins.list"),
        ("TupleNode", "builtins.tuple"),
        ("JsonNode", "builtins.str"),
        ("TypeNode", "builtins.str"),
        ("FunctionNode", "numpy.clip"),
        ("NdArrayNode", "numpy.ndarray"),
        ("NdArrayNode", "numpy.float64"),
        ("NdArrayNode", "numpy.int64"),
        ("NdArrayNode", "numpy.float32"),
        ("NdArrayNode", "numpy.int32"),
        ("ObjectNode", "models.svm.Chi2SVM"),
        ("ObjectNode", "models.svm.RbfSVM"),
        ("ObjectNode", "sklearn.decomposition._pca.PCA"),
        ("ObjectNode", "sklearn.pipeline.Pipeline"),
        ("ObjectNode", "sklearn.preprocessing._data.StandardScaler"),
        ("ObjectNode", "sklearn.preprocessing._function_transformer.FunctionTransformer"),
        ("ObjectNode", "sklearn.svm._classes.LinearSVC"),
    ]
)
_SCHEMA = "schema.json"
# Ten times and three times what real files have.
_LARGEST_SCHEMA, _DEEPEST = 1 << 19, 40
# A forest names each of its trees, with some 20 kB.
_LARGEST_OF_OTHERS = 1 << 26


def read_pipeline(file: Readable, family: str, like: Pipeline, trusted: Sequence[str] = ()) -> tuple[Pipeline, int]:
    """The fitted pipeline in `file`, with the steps of the unfitted one that it is `like`, and the file's size.

    `trusted` are the family's own types besides those that are known here.

    Errors: EmofuseError, one sentence that begins with the file's name, for whatever else the bytes are.
    """
    try:
        data = file.read_bytes()
        foreign = _foreign(data, frozenset(trusted))
        pipeline = None if foreign else skops.io.loads(data, trusted=[*_OURS, *trusted])
    except EmofuseError:
        raise
    except Exception as error:  # zip, JSON, numpy and skops raise a dozen types for damaged bytes
        text = " ".join(f"{error}".split())[:200] or type(error).__name__
        raise EmofuseError(f"{file}: expected a saved {family} model, but it can't be read ({text}).") from None
    if foreign:
        names = ", ".join(shown(name)[1:-1] for name in sorted(foreign)[:3])
        raise EmofuseError(
            f"{file}: refused, because it holds types that no {family} model has ({names}); take the file from the run "
            "that made it."
        )
    with blaming(file, f"a saved {family} model"):
        _check_steps(file, family, pipeline, like)
    return pipeline, len(data)


def _check_steps(file: Readable, family: str, pipeline: Any, like: Pipeline) -> None:
    """Refuse what is no pipeline `like` the family's, has methods replaced, or holds NaN."""
    if not isinstance(pipeline, Pipeline) or _kinds(pipeline) != _kinds(like):
        raise EmofuseError(
            f"{file}: expected a saved scikit-learn Pipeline of {_told(like)} for a {family} model, but it holds "
            f"{_told(pipeline)}."
        )
    for name, step in pipeline.steps:
        for attribute, value in vars(step).items():
            if hasattr(type(step), attribute):
                raise EmofuseError(f"{file}: refused, because step {shown(name)} has its {shown(attribute)} replaced.")
            if not _finite(value):
                place = f"{shown(attribute)} of step {shown(name)}"
                raise EmofuseError(f"{file}: expected finite numbers, but {place} holds NaN or infinity.")


def _foreign(data: bytes, trusted: frozenset[str]) -> set[str]:
    """The types that are none of ours in the file's own list, after a look at the sizes of its parts."""
    with zipfile.ZipFile(io.BytesIO(data)) as parts:
        entries = parts.infolist()
        if sum(entry.file_size for entry in entries) > len(data) or any(e.compress_type for e in entries):
            raise ValueError("its parts are larger than the file")
        if parts.getinfo(_SCHEMA).file_size > (_LARGEST_OF_OTHERS if trusted else _LARGEST_SCHEMA):
            raise ValueError("its list of contents is too long")
        schema = json.loads(parts.read(_SCHEMA))
        foreign = {name for loader, name in _nodes(schema) if (loader, name) not in _KNOWN and name not in trusted}
        for entry in entries if not foreign else ():
            if entry.filename != _SCHEMA:
                _check_array(parts.read(entry), records=bool(trusted))
    return foreign


def _check_array(data: bytes, records: bool) -> None:
    """Refuse an array whose header claims other bytes than there are, or objects; `records` are the nodes of trees."""
    file = io.BytesIO(data)
    version = npy.read_magic(file)
    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
    shape, _, dtype = read(file)
    plain = dtype.kind in "fiub" or (records and dtype.kind == "V" and not dtype.hasobject)
    if not plain or math.prod(shape) * dtype.itemsize != len(data) - file.tell():
        raise ValueError(f"an array claims the shape {shape} of {dtype} in {len(data)} bytes")


def _nodes(schema: Any) -> Iterator[tuple[str, str]]:
    """(how it is made, its type) of all that the list of contents names. Not by recursion: it may be nested deeply."""
    left = [(schema, 0)]
    while left:
        node, depth = left.pop()
        if depth > _DEEPEST:
            raise ValueError("it is nested too deeply")
        if isinstance(node, dict):
            if "__loader__" in node or "__class__" in node or "__module__" in node:
                name = f"{node.get('__module__')}.{node.get('__class__')}"
                yield str(node.get("__loader__")), name if node.get("type", "numpy") == "numpy" else "numpy.object_"
            left += [(child, depth + 1) for child in node.values()]
        elif isinstance(node, list):
            left += [(child, depth + 1) for child in node]


def _kinds(pipeline: Pipeline) -> list[tuple[str, type]]:
    return [(name, type(step)) for name, step in pipeline.steps]


def _told(found: Any) -> str:
    if not isinstance(found, Pipeline):
        return f"a {type(found).__name__}"
    return " and ".join(f"{shown(name)[1:-1]} ({type(step).__name__})" for name, step in found.steps[:5])


def _finite(value: Any) -> bool:
    """Whether all numbers in an attribute are finite; estimators hold no others than these kinds."""
    if isinstance(value, np.ndarray | np.generic | float):
        return bool(np.isfinite(value).all())
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_finite, value))
    return not isinstance(value, BaseEstimator) or all(map(_finite, vars(value).values()))
