"""Unknown names: say which exist and which is nearest."""

from collections.abc import Iterable
from difflib import get_close_matches

from features.errors import WrongUse


def unknown_name(kind: str, name: str, known: Iterable[str]) -> WrongUse:
    """The error for `name`, which is no `kind`: it lists the known names and suggests the nearest."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return WrongUse(f"Unknown {kind} {name!r}: known are {', '.join(names) or 'none'}.{hint}")
