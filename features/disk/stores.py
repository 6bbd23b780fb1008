"""Places of any kind, by a URI: a file system of pyarrow's and a folder in it. An object is put there in one piece."""

from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import WrongUse
from features.files import replacing
from features.masking import masked

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_WITH_BUCKETS = ("s3", "gs", "gcs", "abfs")
_LONGEST = 300


def open_store(uri: str) -> "tuple[FileSystem, str]":
    """The file system of `uri` and the folder in it. Errors: WrongUse where it can't be reached."""
    from pyarrow.fs import FileSystem

    scheme, _, place = uri.partition(":")
    if scheme in _WITH_BUCKETS and not place.strip("/"):
        raise WrongUse(f"{scheme}://: expected a bucket and a folder in it, such as {scheme}://bucket/run.")
    try:
        fs, base = FileSystem.from_uri(uri)
        fs.get_file_info(base)
    except (OSError, ValueError, NotImplementedError) as error:
        raise WrongUse(
            f"{uri}: expected a place that can be reached, such as s3://bucket/run or gs://bucket/run, but "
            f"{in_a_line(error)}"
        ) from None
    return fs, base.rstrip("/")


def put(fs: "FileSystem", place: str, data: bytes) -> None:
    """Write `data` to `place`, whole or not at all."""
    from pyarrow.fs import LocalFileSystem

    if isinstance(fs, LocalFileSystem):
        with replacing(Path(place)) as temporary:
            temporary.write_bytes(data)
        return
    with fs.open_output_stream(place) as stream:
        stream.write(data)


def in_a_line(error: Exception) -> str:
    """What a store said, which may be long, without credentials."""
    return masked(" ".join(str(error).split()))[:_LONGEST]
