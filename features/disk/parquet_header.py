"""What the footer of a Parquet file declares of its columns, read without pyarrow.

pyarrow's `RowGroupMetaData.column` ends the whole process where a byte of a column's description is another (an
exception of C++ that nobody catches), so nothing of a footer that may be damaged or a stranger's is asked for there.
"""

from pathlib import Path
from typing import Any

import pyarrow as pa

_MAGIC = b"PAR1"
# Field numbers of parquet.thrift: in the file, a row group, a column, its description.
_ROW_GROUPS, _COLUMNS, _DESCRIPTION, _VALUES, _UNPACKED = 4, 1, 3, 5, 6
_STRUCT = 12


def declared(path: Path) -> list[tuple[int, int]]:
    """Of each column of each row group, how many values it has and how many bytes they are unpacked.

    ArrowInvalid, as pyarrow raises it, where the footer is none.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 8))
        length, magic = int.from_bytes(file.read(4), "little"), file.read(4)
        if magic != _MAGIC or length > size - 8:
            raise pa.ArrowInvalid("it does not end in the footer of a Parquet file")
        file.seek(size - 8 - length)
        footer = _Compact(file.read(length))
    try:
        found = footer.struct()
        columns = [column[_DESCRIPTION] for group in found[_ROW_GROUPS] for column in group[_COLUMNS]]
        sizes = [(column[_VALUES], column[_UNPACKED]) for column in columns]
    except (IndexError, KeyError, TypeError, RecursionError) as error:
        raise pa.ArrowInvalid(f"its footer is damaged ({type(error).__name__})") from None
    if not all(isinstance(number, int) and number >= 0 for pair in sizes for number in pair):
        raise pa.ArrowInvalid("its footer declares sizes below 0")
    return sizes


class _Compact:
    """Thrift's compact protocol: structs as dicts by field number, numbers, lists; IndexError where it breaks off."""

    def __init__(self, data: bytes):
        self._data, self._place = data, 0

    def struct(self) -> dict[int, Any]:
        found: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._integer()
            found[number] = self._value(head & 15, inside=False)
        return found

    def _value(self, kind: int, *, inside: bool) -> Any:
        if kind in (1, 2):  # a field's boolean is its type; in a list it is a byte
            return self._byte() == 1 if inside else kind == 1
        if kind == 3:
            return self._byte()
        if kind in (4, 5, 6):
            return self._integer()
        if kind == 7:
            return self._skip(8)
        if kind == 8:
            return self._skip(self._varint())
        if kind in (9, 10):
            return self._list()
        if kind == 11:
            return self._map()
        if kind == _STRUCT:
            return self.struct()
        raise KeyError(kind)

    def _list(self) -> list[Any]:
        head = self._byte()
        count = head >> 4 if head >> 4 < 15 else self._varint()
        return [self._value(head & 15, inside=True) for _ in range(count)]

    def _map(self) -> None:
        if count := self._varint():
            kinds = self._byte()
            for _ in range(count):
                self._value(kinds >> 4, inside=True)
                self._value(kinds & 15, inside=True)

    def _integer(self) -> int:
        number = self._varint()
        return number >> 1 if number & 1 == 0 else -(number >> 1) - 1

    def _varint(self) -> int:
        number, shift = 0, 0
        while True:
            byte = self._byte()
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number
            if shift > 63:
                raise IndexError("a number of more than 64 bits")

    def _byte(self) -> int:
        self._place += 1
        return self._data[self._place - 1]

    def _skip(self, count: int) -> None:
        self._place += count
        if self._place > len(self._data):
            raise IndexError("the footer breaks off")
