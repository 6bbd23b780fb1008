"""Plug-ins of installed packages: entry points of the groups `emofuse.families`, `emofuse.feature_sets` and so on.

Their names are known without running their code, which happens when one is asked for.
"""

import sys
from functools import cache
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from features.errors import WrongUse
from features.files import content_key, file_sha256
from features.plugins.plugin import KINDS, Plugin, broken, line_of


def installed_plugins(kind: str) -> list[Plugin]:
    """The plug-ins of a kind that packages of this environment register."""
    return list(_installed(kind, tuple(sys.path)))


@cache
def _installed(kind: str, _path: tuple[str, ...]) -> tuple[Plugin, ...]:
    points = {(point.name, point.value): point for point in entry_points(group=f"emofuse.{kind}")}
    return tuple(_plugin(kind, points[key]) for key in sorted(points))


def _plugin(kind: str, point: EntryPoint) -> Plugin:
    package = f"{point.dist.name} {point.dist.version}" if point.dist else point.module.partition(".")[0]
    folder, file = _code(point.module)
    attribute = point.attr or KINDS[kind].attribute
    place = f"the entry point {point.name!r} of {package}"
    if file is not None:
        place = f"{file}, line {line_of(file.read_text(encoding='utf-8', errors='replace'), attribute)}"

    def read() -> Any:
        try:
            module = EntryPoint(point.name, point.module, point.group).load()
        except (Exception, SystemExit) as error:
            raise broken(error, folder or Path("/nowhere"), place) from None
        if not hasattr(module, attribute):
            raise WrongUse(f"{place}: expected {attribute}, as the entry point of {package} says, but it has none.")
        return getattr(module, attribute)

    return Plugin(kind, point.name, package, package, place, _digest(folder) if folder else "", read)


def _code(module: str) -> tuple[Path | None, Path | None]:
    """The package's folder (or its only file), and the file of `module` in it; nothing is imported for that."""
    top, *inside = module.split(".")
    spec = PathFinder.find_spec(top)
    if spec is None or spec.origin is None:
        return None, None
    if not spec.submodule_search_locations:
        return Path(spec.origin), Path(spec.origin)
    folder = Path(spec.origin).parent
    place = folder.joinpath(*inside)
    found = [path for path in (place.with_suffix(".py") if inside else place, place / "__init__.py") if path.is_file()]
    return folder, found[0] if found else None


@cache
def _digest(place: Path) -> str:
    """sha256 (hex) over all of a package's code, or of its only file."""
    if place.is_file():
        return file_sha256(place)
    return content_key({str(path.relative_to(place)): file_sha256(path) for path in sorted(place.rglob("*.py"))})
