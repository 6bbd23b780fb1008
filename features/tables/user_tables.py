"""Tables that users bring, CSV or Parquet, read by one set of rules.

A word is never a missing value: only an empty field is. Blanks around a text are no part of it. pandas' row numbers are
no column. Labels are text, whatever type they were stored as.
"""

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from features.disk.sizes import read_parquet, refuse_size
from features.errors import EmofuseError, WrongUse
from features.progress import say
from features.spelling import trimmed
from features.tables.spreadsheets import unquoted

# What pandas calls an index that it writes beside the columns of a Parquet file, and an unnamed column that it read.
_INDEX = re.compile(r"__index_level_\d+__")
_UNNAMED = re.compile(r"|Unnamed: \d+")
_WHOLE = re.compile(r"[+-]?\d+\.0*")
_SEPARATORS = {".csv": ",", ".tsv": "\t"}
# Texts that `trimmed` may change, in RE2's syntax.
_UNTRIMMED = r"^\s|\s$|[^\x00-\x7f]"
# What is looked up on a disk, where a name may end in a blank.
_AS_WRITTEN = ("path",)


def read_user_table(path: Path, types: Mapping[str, pa.DataType], what: str, max_gb: float | None = None) -> pa.Table:
    """The columns of the file, `types` being those of text columns and the like in a CSV; `what` is what is expected.

    Strings that look like numbers stay text where `types` says so. Refused: other kinds of files, a column without a
    name, two of one name, what takes more memory than `max_gb` (features.disk.sizes). An index of pandas' is left out.
    """
    suffix = path.suffix.lower()
    if suffix not in (".parquet", *_SEPARATORS):
        raise WrongUse(f"{path}: expected {what} in a file that ends in .csv, .tsv or .parquet.")
    if not path.is_file():
        raise EmofuseError(f"{path}: no such file, expected {what}.")
    try:
        if suffix == ".parquet":
            table = read_parquet(path, lambda schema: column_names(path, schema.names), max_gb)
        else:
            refuse_size(path, path.stat().st_size, max_gb)
            table = read_csv(path, types)
            table = table.select(column_names(path, table.column_names))
        table = table.rename_columns([trimmed(name) for name in table.column_names])
    except (OSError, UnicodeError, pa.ArrowException) as error:
        raise EmofuseError(f"{path}: can't be read as {suffix[1:].upper()} ({one_line(error)}).") from None
    for name, column in zip(table.column_names, table.columns, strict=True):
        # No file has such a name, and numpy takes `a` and `a\0` for the same.
        text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        if text and pc.any(pc.match_substring(column, "\0")).as_py():
            raise EmofuseError(f"{path}: column {name!r} holds text with a NUL character; take it out.")
    return trimmed_texts(path, table)


def read_csv(path: Path, types: Mapping[str, pa.DataType]) -> pa.Table:
    """The CSV or TSV file as it is, with `types` for some columns; only an empty field is null.

    What a CSV of ours has against spreadsheets (features.tables.spreadsheets) is taken away.
    """
    separator = _SEPARATORS.get(path.suffix.lower(), ",")
    named = {name: types[trimmed(name)] for name in _first_line(path, separator) if trimmed(name) in types}
    convert = pyarrow.csv.ConvertOptions(column_types={**types, **named}, null_values=[""], strings_can_be_null=True)
    parse = pyarrow.csv.ParseOptions(delimiter=separator)
    return unquoted(pyarrow.csv.read_csv(path, parse_options=parse, convert_options=convert))


def _first_line(path: Path, separator: str) -> list[str]:
    """The names of a CSV's columns as they are written: ` clip_id` is text too."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            return next(csv.reader(file, delimiter=separator), [])
        except csv.Error:
            return []


def trimmed_texts(path: Path, table: pa.Table) -> pa.Table:
    """The table with its texts trimmed, and null where nothing is left of one; how many were changed is told."""
    told = []
    for i, name in enumerate(table.column_names):
        column = table.column(i)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if name in _AS_WRITTEN or not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            continue
        column, count = _trimmed_column(column)
        told += [f"{count} of {name}"] if count else []
        table = table.set_column(i, name, column)
    if told:
        say(f"{path}: texts are read without blanks around them, accents composed: {', '.join(told)} changed")
    return table


def _trimmed_column(column: pa.ChunkedArray) -> tuple[pa.ChunkedArray, int]:
    """The texts trimmed, and how many of them were changed."""
    empty = pc.equal(column, "")
    odd = pc.fill_null(pc.or_(pc.match_substring_regex(column, _UNTRIMMED), empty), False)
    if not pc.any(odd).as_py():
        return column, 0
    before = column.filter(odd).to_pylist()
    after = [trimmed(text) or None for text in before]
    changed = sum(text != (new or "") for text, new in zip(before, after, strict=True))
    whole = pc.replace_with_mask(column.combine_chunks(), odd.combine_chunks(), pa.array(after, column.type))
    return pa.chunked_array([whole]), changed


def column_names(path: Path, names: Sequence[str]) -> list[str]:
    """The columns without pandas' index; one without a name is refused, and so are two of one name."""
    kept = [name for name in names if not _INDEX.fullmatch(name)]
    if kept and _UNNAMED.fullmatch(trimmed(kept[0])):
        raise EmofuseError(
            f"{path}: its first column has no name, as when pandas writes row numbers; write the file without them "
            "(`to_csv(..., index=False)`), or give the column a name."
        )
    bare = [trimmed(name) for name in kept]
    twice = sorted({name for name in bare if bare.count(name) > 1}) if len(set(bare)) < len(bare) else []
    if twice:
        raise EmofuseError(f"{path}: two columns have the name {twice[0]!r}; give each its own.")
    return kept


def label_texts(path: Path, name: str, column: pa.ChunkedArray) -> list[str | None]:
    """The labels (or groups, or ids) of a column as text, None where there is none, whatever type they have.

    Whole numbers stored as floats, as pandas does where one is missing, are whole: `0.0` is `0`, also as text when the
    whole column is such numbers. Booleans are `True` and `False`, however they are spelt. Other floats are refused.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        return label_texts(path, name, column.cast(kind.value_type))
    if pa.types.is_null(kind):
        return [None] * len(column)
    if pa.types.is_boolean(kind):
        return [None if value is None else str(value) for value in column.to_pylist()]
    if pa.types.is_integer(kind):
        return list(column.cast(pa.string()).to_pylist())
    if pa.types.is_floating(kind):
        return [_whole(path, name, value) for value in column.to_pylist()]
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise EmofuseError(f"{path}: column {name!r} should hold text, but holds values of type {kind}.")
    texts = column.to_pylist()
    different = set(texts) - {None}
    if different and different <= {text for text in different if text.lower() in ("true", "false")}:
        return [None if text is None else text.capitalize() for text in texts]
    if different and all(_WHOLE.fullmatch(text) for text in different):
        return [None if text is None else str(int(text.partition(".")[0])) for text in texts]
    return texts


def id_texts(path: Path, name: str, column: pa.ChunkedArray) -> list[str | None]:
    """Ids as text: text is left as it is (`1.0` and `1.00` are two clips), other types are as in `label_texts`."""
    text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    return list(column.to_pylist()) if text else label_texts(path, name, column)


def _whole(path: Path, name: str, value: float | None) -> str | None:
    if value is None or value != value:  # pandas writes a missing number as NaN
        return None
    if not float(value).is_integer():
        raise EmofuseError(f"{path}: column {name!r} should hold names or whole numbers, but holds {value:g}.")
    return str(int(value))


def is_number(kind: pa.DataType) -> bool:
    """Whether a column of this type holds numbers or truths."""
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind))


def one_line(error: Exception) -> str:
    """A library's message as part of a sentence."""
    return " ".join(str(error).split())[:300]


def ids_of(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Ids as text, dictionary-encoded: each different one is in memory once."""
    if not pa.types.is_dictionary(column.type):
        column = pc.dictionary_encode(column)
    return column.unify_dictionaries()
