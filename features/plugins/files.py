"""Plug-ins that are single files, named by the user; `EMOFUSE_PLUGINS` tells them to the processes that work for us."""

import hashlib
import os
import sys
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from features.errors import WrongUse
from features.plugins.plugin import KINDS, Plugin, broken, line_of

VARIABLE = "EMOFUSE_PLUGINS"
# Classes of a plug-in are found under this name in every process, as skops and pickle ask for them.
_PREFIX = "emofuse_plugin_"

_loaded: dict[Path, tuple[str, ModuleType]] = {}


def use(file: Path) -> None:
    """Take the plug-ins of a file from here on, in this process and in those that it starts.

    WrongUse where there is none, its code fails, or another file of the same name is used already.
    """
    path = file.expanduser().resolve()
    if os.pathsep in str(path):
        raise WrongUse(f"{path}: expected a plug-in's path without {os.pathsep!r}, which parts them in {VARIABLE}.")
    known = files()
    if path not in known:
        set_files([*known, path])
    _module(path)


def files() -> list[Path]:
    """The files in use, in the order that they were named."""
    given = [part for part in os.environ.get(VARIABLE, "").split(os.pathsep) if part]
    paths = list(dict.fromkeys(Path(part).expanduser().resolve() for part in given))
    if [str(path) for path in paths] != given:
        set_files(paths)  # a worker's working directory is another one
    return paths


def set_files(paths: list[Path]) -> None:
    """Use these files and no others; WrongUse where two have one name."""
    stems: dict[str, Path] = {}
    for path in paths:
        if stems.setdefault(path.stem, path) != path:
            raise WrongUse(f"{path}: {stems[path.stem]} is a plug-in of the same name; rename one of the two.")
    os.environ[VARIABLE] = os.pathsep.join(map(str, paths))


def file_plugins(kind: str) -> list[Plugin]:
    """The plug-ins of a kind in all files in use."""
    found = []
    attribute = KINDS[kind].attribute
    for path in files():
        digest, module = _module(path)
        value = getattr(module, attribute, ())
        for record in value if isinstance(value, tuple | list) else (value,):
            place = f"{path}, line {line_of(path.read_text(encoding='utf-8'), attribute)}"
            found.append(
                Plugin(kind, _name(record, place), path.name, str(path), place, digest, partial(_itself, record))
            )
    return found


def _itself(record: Any) -> Any:
    return record


def _name(record: Any, place: str) -> str:
    name = getattr(record, "name", None)
    if not isinstance(name, str) or not name.isidentifier():
        words = ", ".join(kind.attribute for kind in KINDS.values())
        raise WrongUse(f"{place}: expected a record with a name of letters, digits and _ ({words}), but got {name!r}.")
    return name


def _module(path: Path) -> tuple[str, ModuleType]:
    """The file's code, run once for each content that it has."""
    try:
        code = path.read_bytes()
    except OSError as error:
        why = error.strerror or error
        raise WrongUse(f"{path}: expected a plug-in, a Python file, but it can't be read ({why}).") from None
    digest = hashlib.sha256(code).hexdigest()
    if path not in _loaded or _loaded[path][0] != digest:
        _loaded[path] = digest, _run(path, code)
    return _loaded[path]


def _run(path: Path, code: bytes) -> ModuleType:
    name = _PREFIX + path.stem
    module = ModuleType(name)
    module.__file__ = str(path)
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        exec(compile(code, str(path), "exec"), vars(module))
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before
        raise broken(error, path, str(path)) from None
    if not any(hasattr(module, kind.attribute) for kind in KINDS.values()):
        words = ", ".join(kind.attribute for kind in KINDS.values())
        raise WrongUse(f"{path}: expected a plug-in with one of {words}, but it has none (docs/extending.md).")
    return module
