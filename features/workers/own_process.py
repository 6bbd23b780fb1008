"""Processes that start without the program's own script: nothing that is run in them lies there."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import process
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from types import ModuleType
from typing import Any

# Where the four packages lie; a folder `features` of the working directory must not come before it.
_HOME = str(Path(__file__).resolve().parents[2])


class _Process(SpawnProcess):
    """A spawned process that does not run the main script once more: a script needs no `__main__` guard."""

    @staticmethod
    def _Popen(process_obj: process.BaseProcess) -> Any:  # noqa: N802  multiprocessing's name
        with _without_script():
            return SpawnProcess._Popen(process_obj)


class ScriptlessContext(SpawnContext):
    """Spawned, not forked: a fork of a process with threads (Arrow, OpenCV, torch) can hang."""

    Process = _Process


@contextmanager
def _without_script() -> Iterator[None]:
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    sys.path.insert(0, _HOME)
    try:
        yield
    finally:
        sys.path.remove(_HOME)
        sys.modules["__main__"] = main
