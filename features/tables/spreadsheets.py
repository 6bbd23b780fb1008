"""Text cells of a CSV that a spreadsheet would run as a formula: written with a `'` before them, read without it.

A cell that begins with `=`, `+`, `-`, `@`, a tab or the end of a line, after any number of `'`, gets one more `'`;
reading takes one away from such a cell. So every text comes back as it was, those that begin with `'` too, and text
that no spreadsheet would run is never touched.
"""

import re

import pyarrow as pa
import pyarrow.compute as pc

# In RE2's syntax, as Arrow's functions take it.
_RUN = r"^('*[=+\-@\t\r\n])"
_KEPT = r"^'('*[=+\-@\t\r\n])"


def quoted_text(text: str) -> str:
    """One text as a CSV should hold it."""
    return re.sub(_RUN, r"'\1", text)


def unquoted_text(text: str) -> str:
    """The text that `quoted_text` was given."""
    return re.sub(_KEPT, r"\1", text)


def quoted(table: pa.Table) -> pa.Table:
    """The table with its text cells as a CSV should hold them."""
    return _replaced(table, _RUN, r"'\1")


def unquoted(table: pa.Table) -> pa.Table:
    """The table that `quoted` was given."""
    return _replaced(table, _KEPT, r"\1")


def _replaced(table: pa.Table, pattern: str, by: str) -> pa.Table:
    for i, field in enumerate(table.schema):
        column = table.column(i)
        if _is_text(field.type):
            table = table.set_column(i, field, pc.replace_substring_regex(column, pattern, by, max_replacements=1))
        elif pa.types.is_dictionary(field.type) and _is_text(field.type.value_type):
            chunks = [
                pa.DictionaryArray.from_arrays(
                    chunk.indices, pc.replace_substring_regex(chunk.dictionary, pattern, by, max_replacements=1)
                )
                for chunk in column.chunks
            ]
            table = table.set_column(i, field.name, pa.chunked_array(chunks, field.type))
    return table


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
