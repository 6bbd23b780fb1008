"""Plug-ins that a bundle's models were made with: named in it, never carried, and asked of whoever predicts."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import StringConstraints

from features import plugins
from features.errors import EmofuseError
from features.schema import Word, shown

_Digest = Annotated[str, StringConstraints(pattern="^([0-9a-f]{64})?$")]
_WORDS = {"families": "family", "feature_sets": "feature set"}


@dataclass(frozen=True)
class BundlePlugin:
    """What a plug-in is called, the file or package that had it, and the digest of its code."""

    kind: Literal["families", "feature_sets"]
    name: Word
    source: Word
    sha256: _Digest


def plugged(families: Iterable[str], sets: Iterable[str]) -> tuple[BundlePlugin, ...]:
    """The plug-ins among the families and feature sets that a bundle's models need."""
    asked = [("families", name) for name in sorted(set(families))]
    asked += [("feature_sets", name) for name in sorted(set(sets))]
    found = [(kind, _installed(kind, name)) for kind, name in asked]
    return tuple(BundlePlugin(kind, it.name, it.source, it.sha256) for kind, it in found if it)  # type: ignore[arg-type]


def check_plugins(needed: Iterable[BundlePlugin], folder: Path) -> None:
    """EmofuseError for a plug-in of the bundle in `folder` that is not in use here, or has other code."""
    for one in needed:
        what = f"the {_WORDS[one.kind]} {one.name!r} of the plug-in {shown(one.source)}"
        here = _installed(one.kind, one.name)
        if here is None:
            raise EmofuseError(
                f"{folder}: its models need {what}, and a bundle holds no code: get that from whom you trust, and give "
                "--plugin FILE or install the package."
            )
        if here.sha256 != one.sha256:
            raise EmofuseError(
                f"{folder}: its models were made with {what}, whose code had the sha256 {one.sha256[:12]}, but that of "
                f"{here.origin} has {here.sha256[:12]}; use the same, or search and export again."
            )


def _installed(kind: str, name: str) -> plugins.Plugin | None:
    return plugins.named(kind, name, ())
