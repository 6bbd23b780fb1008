"""Parquet files of which every byte is vouched for.

The pages carry the checksums of the format, which any reader can verify. They cover neither the pages' headers nor the
footer, so the footer also holds a sha256 of the whole file, made while its own place was blank.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SEAL = b"emofuse.sha256"
_BLANK = b"0" * 64
# As thrift writes the key, the type of what follows (a string) and its length.
_MARK = SEAL + bytes([0x18, len(_BLANK)])


@dataclass(frozen=True, eq=False)
class Opened:
    """A file that was read whole: the sha256 of its bytes, and whether its own seal vouches for them.

    What it holds is parsed when it is asked for; ValueError says what is wrong with it.
    """

    digest: bytes
    is_sealed: bool
    _data: bytes

    @property
    def metadata(self) -> Mapping[bytes, bytes]:
        """What its footer says."""
        return self._file.schema_arrow.metadata or {}

    @property
    def columns(self) -> list[str]:
        """The names of its columns."""
        return list(self._file.schema_arrow.names)

    def table(self) -> pa.Table:
        """Its rows."""
        try:
            return self._file.read(use_threads=False).replace_schema_metadata()
        except (OSError, pa.ArrowException) as error:
            raise ValueError(_unreadable(error)) from None

    @cached_property
    def _file(self) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(pa.BufferReader(self._data), page_checksum_verification=True)
        except (OSError, pa.ArrowException) as error:
            raise ValueError(_unreadable(error)) from None


def sealed(table: pa.Table, metadata: Mapping[bytes, bytes], *, dictionary: bool = False) -> bytes:
    """`table` as a Parquet file with `metadata` in its footer; `dictionary` suits columns that repeat their values."""
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        table.schema.remove_metadata(),
        compression="zstd",
        use_dictionary=dictionary,
        write_statistics=False,
        write_page_checksum=True,
        store_schema=False,
    ) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({**metadata, SEAL: _BLANK})
    data = bytearray(sink.getvalue())
    place = _place(data)
    if place is None or data[place : place + len(_BLANK)] != _BLANK:
        raise RuntimeError("This pyarrow writes a Parquet footer in another way than the one that can be sealed.")
    data[place : place + len(_BLANK)] = hashlib.sha256(data).hexdigest().encode()
    return bytes(data)


def open_sealed(path: Path) -> Opened:
    """Read a file whole and hold it against its seal, if it has one.

    ValueError says what is wrong with the bytes; OSError is the file system's.
    """
    data = path.read_bytes()
    if not data:
        raise ValueError("it is empty")
    place = _place(data)
    if place is None:
        return Opened(hashlib.sha256(data).digest(), False, data)
    view = memoryview(data)
    digest = hashlib.sha256(view[:place])
    digest.update(_BLANK)
    digest.update(view[place + len(_BLANK) :])
    if digest.hexdigest().encode() != data[place : place + len(_BLANK)]:
        raise ValueError("its bytes are not those that were written")
    return Opened(digest.digest(), True, data)


def _unreadable(error: Exception) -> str:
    return f"it can't be read as Parquet ({' '.join(str(error).split())[:200]})"


def _place(data: bytes | bytearray) -> int | None:
    found = data.rfind(_MARK)
    return None if found < 0 or found + len(_MARK) + len(_BLANK) > len(data) else found + len(_MARK)
