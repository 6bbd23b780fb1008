"""Plug-ins: families, feature sets, data sets and fusion methods from code of the user's own choice.

They come from installed packages (entry points `emofuse.families` and so on) and from files that the user names:
`--plugin FILE`, `EMOFUSE_PLUGINS`, or `plugins:` of a recipe. Nothing that a run's folder or a bundle says loads any.
"""

from collections.abc import Collection, Sequence

from features.errors import WrongUse
from features.names import unknown_name
from features.plugins.files import file_plugins
from features.plugins.installed import installed_plugins
from features.plugins.plugin import KINDS, Plugin

__all__ = ["KINDS", "Plugin", "found", "named", "origin", "sha256_of", "unknown"]


def _all(kind: str) -> list[Plugin]:
    return [*file_plugins(kind), *installed_plugins(kind)]


def named(kind: str, name: str, built_in: Collection[str]) -> Plugin | None:
    """The plug-in of that name; WrongUse where there are two, or one of emofuse's own has the name."""
    same = [plugin for plugin in _all(kind) if plugin.name == name]
    if not same:
        return None
    if name in built_in or len(same) > 1:
        other = "as one of emofuse's own" if name in built_in else f"by {same[0].place}"
        raise WrongUse(
            f"{same[-1].place}: the {KINDS[kind].words} {name!r} is there already, {other}; give one another name."
        )
    return same[0]


def found(kind: str, built_in: Collection[str]) -> list[Plugin]:
    """All plug-ins of a kind by name. Errors as of `named`."""
    names = sorted({plugin.name for plugin in _all(kind)})
    return [plugin for name in names if (plugin := named(kind, name, built_in)) is not None]


def unknown(kind: str, name: str, built_in: Collection[str], others: Collection[str] = ()) -> WrongUse:
    """The error for a name that nobody has; `others` are known besides."""
    known = {*built_in, *others, *(plugin.name for plugin in _all(kind))}
    told = unknown_name(KINDS[kind].words, name, known)
    if "Did you mean" in str(told):
        return told
    return WrongUse(f"{told} If a plug-in has it, give --plugin FILE or install its package.")


def sha256_of(kind: str, name: str, built_in: Collection[str]) -> str:
    """The digest of the plug-in's code; empty for what is emofuse's own."""
    plugin = None if name in built_in else named(kind, name, built_in)
    return plugin.sha256 if plugin else ""


def origin(kind: str, name: str, built_in: Collection[str]) -> str:
    """Where it comes from, for lists: the file or package of a plug-in; empty for what is emofuse's own."""
    plugin = None if name in built_in else named(kind, name, built_in)
    return plugin.origin if plugin else ""


def names(kind: str) -> Sequence[str]:
    """The names of all plug-ins of a kind."""
    return [plugin.name for plugin in _all(kind)]
