"""Packages of the working directory that have the name of one of emofuse's, where Ray looks first."""

from importlib.machinery import PathFinder
from pathlib import Path

from features.errors import EmofuseError

_PACKAGES = ("features", "models", "search", "ensembles")


def refuse_shadows(folder: Path) -> None:
    """EmofuseError for a package or module of `folder` that a worker on a cluster would take for emofuse's.

    Ray puts the driver's working directory first on the path of all workers. Folders without code are no packages, and
    a checkout of emofuse has its own.
    """
    if (folder / "emofuse.py").is_file():
        return
    for name in _PACKAGES:
        found = PathFinder.find_spec(name, [str(folder)])
        if found is not None and found.origin is not None:
            raise EmofuseError(
                f"The workers of a cluster look into the working directory first, where {found.origin} has the name of "
                f"emofuse's package {name!r}: rename it, or run the same command in another folder."
            )
