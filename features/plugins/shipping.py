"""The code of plug-in files on its way to another machine: as data, run there as it would be here."""

import atexit
import shutil
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from features.plugins.files import files, set_files

Sources = Mapping[str, bytes]


def sources() -> dict[str, bytes]:
    """The content of every plug-in file in use, by its path here."""
    return {str(path): path.read_bytes() for path in files()}


def install(shipped: Sources) -> None:
    """Use the files that `sources` told and no others; where the same lies at the same path, that one."""
    paths = []
    for name, code in shipped.items():
        path = Path(name)
        if not (path.is_file() and path.read_bytes() == code):
            path = _folder() / path.name
            path.write_bytes(code)
        paths.append(path)
    if paths:
        set_files([path.resolve() for path in paths])


@cache
def _folder() -> Path:
    """A folder of this process, which no other user may write to."""
    folder = Path(tempfile.mkdtemp(prefix="emofuse-plugins-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
