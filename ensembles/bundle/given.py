"""Features of clips that a bundle can't compute from media: imported sets, from a store or a file of arrays."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from features.clips import ClipTable
from features.errors import EmofuseError, WrongUse
from features.names import unknown_name
from features.schema import shown

if TYPE_CHECKING:
    from features.store.store import StoredSet


@dataclass(frozen=True)
class BundleImported:
    """An imported set that a bundle's models read: whether it is a vector for each clip, and a step's shape.

    `step_s` are the seconds between its steps: those of a file that tells no times lie as far apart.
    """

    level: Literal["clip", "frame"]
    shape: tuple[Annotated[int, Field(gt=0, lt=2**31)], ...]
    step_s: Annotated[float, Field(gt=0, lt=1e6)] = 1.0


@dataclass(frozen=True, eq=False)
class GivenFeatures:
    """A clip table with stored sets of its clips, by what the bundle calls them."""

    table: ClipTable
    sets: "Mapping[str, StoredSet]"


@contextmanager
def given_features(
    needed: Mapping[str, BundleImported], table: ClipTable, places: Sequence[str], folder: Path
) -> Iterator[GivenFeatures]:
    """The imported sets that the bundle in `folder` needs, for the clips of `table`.

    `places` are a feature store, or files of arrays: of a bundle that needs several sets as NAME=FILE. Errors: a set
    that is not there, or has another level or shape than the bundle's.
    """
    from features.imports import import_arrays
    from features.store.store import open_set

    found: dict[str, StoredSet] = {}
    with TemporaryDirectory(prefix="emofuse-given-") as scratch:
        for text in places:
            name, place = _named(text, needed)
            if place.is_dir():
                found |= {known: open_set(place, known, table) for known in needed}
            elif name is None:
                raise WrongUse(f"--features {text}: expected NAME=FILE, as the bundle reads {shown(list(needed))}.")
            else:
                one = needed[name]
                found[name] = import_arrays(table, name, place, one.level, Path(scratch), step_s=one.step_s)
        for name, expected in needed.items():
            if name not in found:
                raise EmofuseError(f"{folder}: its models read the imported set {shown(name)}; give it by --features.")
            stored = found[name]
            if (stored.level, tuple(stored.shape)) != (expected.level, tuple(expected.shape)):
                raise EmofuseError(
                    f"Feature set {name!r}: expected steps of shape {expected.shape} at level {expected.level}, as the "
                    f"bundle's models read, but got {tuple(stored.shape)} at level {stored.level}."
                )
        yield GivenFeatures(table, found)


def _named(text: str, needed: Mapping[str, BundleImported]) -> tuple[str | None, Path]:
    """The set that a place is for, None where it can't be told, and the place."""
    name, equals, place = text.partition("=")
    if equals and not Path(text).exists():
        if name not in needed:
            raise unknown_name("imported set of the bundle", name, needed)
        return name, Path(place)
    return (next(iter(needed)) if len(needed) == 1 else None), Path(text)


def refuse_media_alone(needed: Mapping[str, BundleImported], folder: Path) -> None:
    """WrongUse where models of the bundle in `folder` read what can't be computed from media."""
    if needed:
        raise WrongUse(
            f"{folder}: its models read {'the imported sets' if len(needed) > 1 else 'the imported set'} "
            f"{', '.join(map(shown, needed))}, which can't be computed from media: give --features with a store, "
            "or a file of arrays (to predict, --clips CLIPS too)."
        )
