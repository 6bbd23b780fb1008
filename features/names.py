"""Unknown names: say which exist and which is nearest."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from types import MappingProxyType

from features.errors import WrongUse


def unknown_name(
    kind: str, name: str, known: Iterable[str], earlier: Mapping[str, str] = MappingProxyType({})
) -> WrongUse:
    """The error for `name`, which is no `kind`: it lists the known names and suggests the nearest.

    `earlier` names that are still understood, by what they are called today, are suggested as that, and not listed.
    """
    names = sorted(known)
    near = get_close_matches(name, [*names, *earlier], n=1, cutoff=0.5)
    hint = f" Did you mean {earlier.get(near[0], near[0])!r}?" if near else ""
    return WrongUse(f"Unknown {kind} {name!r}: known are {', '.join(names) or 'none'}.{hint}")
