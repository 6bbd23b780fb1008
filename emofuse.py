"""Hyperparameter search and ensembling for emotion recognition in video.

All of it by functions, in a notebook or a script; the command `emofuse` calls the same ones. Importing this module
loads none of the libraries behind it: each comes with the first function that needs it.

Examples
--------
>>> import emofuse as ef
>>> run = ef.open_run("runs/first")                      # doctest: +SKIP
>>> run.leaderboard()                                    # doctest: +SKIP
>>> ensemble = run.fit("greedy", bagged=10)              # doctest: +SKIP
>>> ensemble.refit().export("bundle")                    # doctest: +SKIP
>>> ef.load("bundle").predict(["a.mp4"])                 # doctest: +SKIP
"""

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ensembles.api.arrays import fit
    from ensembles.api.bundle import Bundle, load
    from ensembles.api.data import clips, extract
    from ensembles.api.ensemble import Ensemble
    from ensembles.api.run import Run, open_run
    from ensembles.api.search import search
    from features.errors import EmofuseError, WrongUse

__all__ = [
    "Bundle",
    "EmofuseError",
    "Ensemble",
    "Run",
    "WrongUse",
    "clips",
    "extract",
    "fit",
    "load",
    "open_run",
    "search",
]

_MODULES = {
    "Bundle": "ensembles.api.bundle",
    "EmofuseError": "features.errors",
    "Ensemble": "ensembles.api.ensemble",
    "Run": "ensembles.api.run",
    "WrongUse": "features.errors",
    "clips": "ensembles.api.data",
    "extract": "ensembles.api.data",
    "fit": "ensembles.api.arrays",
    "load": "ensembles.api.bundle",
    "open_run": "ensembles.api.run",
    "search": "ensembles.api.search",
}
_PACKAGES = ("features", "models", "search", "ensembles")
_HOME = Path(__file__).resolve().parent


def main(arguments: list[str] | None = None) -> int:
    """Run the command line on `arguments` (None: those of the process) and return its exit code."""
    _find_own_packages(over_others=True)
    from ensembles.cli.command import main as command

    return command(arguments)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("emofuse")
    if name not in _MODULES:
        raise AttributeError(f"module 'emofuse' has no attribute {name!r}")
    _find_own_packages()
    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _find_own_packages(over_others: bool = False) -> None:
    """See to it that `models` and the like are emofuse's, whatever lies in the working directory.

    A folder without Python code is passed by. A package of the same name that Python finds first is passed by too when
    the process is the command's (`over_others`); in someone's own process it may be meant, so it is told.
    """
    for name in _PACKAGES:
        if name in sys.modules:
            _refuse(name, sys.modules[name].__spec__)
            continue
        found = find_spec(name)
        if _is_own(name, found):
            continue
        if found is not None and found.origin is not None and not over_others:
            _refuse(name, found)
        spec = spec_from_file_location(name, _HOME / name / "__init__.py")
        if spec is None or spec.loader is None:
            raise ImportError(f"emofuse's package {name!r} is not in {_HOME}: install emofuse again.")
        sys.modules[name] = module = module_from_spec(spec)
        spec.loader.exec_module(module)


def _refuse(name: str, found: ModuleSpec | None) -> None:
    if not _is_own(name, found):
        place = found.origin or found.submodule_search_locations if found else "a module without a file"
        raise ImportError(
            f"emofuse needs its own package {name!r}, but Python found {place} under that name first: rename it, or "
            "start Python in another folder. (The command `emofuse` works here as it is.)"
        )


def _is_own(name: str, found: ModuleSpec | None) -> bool:
    return bool(found and found.origin and Path(found.origin).resolve() == _HOME / name / "__init__.py")


if __name__ == "__main__":
    sys.exit(main())
