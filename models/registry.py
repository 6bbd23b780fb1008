"""Families by name: emofuse's own, each module of `models.families` ends in one record `FAMILY`, and plug-ins'."""

import pkgutil
from functools import cache
from importlib import import_module
from types import MappingProxyType

from features import plugins
from models.family import Family


@cache
def families() -> MappingProxyType[str, Family]:
    """Emofuse's own families by name. Two of the same name are an error of the program, told with both modules."""
    found: dict[str, tuple[Family, str]] = {}
    for info in pkgutil.iter_modules(import_module("models.families").__path__):
        if info.name.startswith("_"):
            continue
        family: Family = import_module(f"models.families.{info.name}").FAMILY
        if family.name in found:
            raise ValueError(f"Two families are called {family.name!r}: {found[family.name][1]} and {info.name}.")
        found[family.name] = (family, info.name)
    return MappingProxyType({name: found[name][0] for name in sorted(found)})


def all_families() -> MappingProxyType[str, Family]:
    """All families by name, plug-ins' behind emofuse's own. WrongUse for a plug-in that can't be used."""
    own = families()
    added = {plugin.name: plugin.load(Family) for plugin in plugins.found("families", own)}
    return MappingProxyType({**own, **added})


def get_family(name: str) -> Family:
    """The family of that name; an unknown one is told with the nearest."""
    own = families()
    plugin = plugins.named("families", name, own)
    if plugin is not None:
        return plugin.load(Family)
    if name not in own:
        raise plugins.unknown("families", name, own)
    return own[name]


def family_sha256(name: str) -> str:
    """The digest of the code of a plug-in's family, which is part of its trials' keys; empty for emofuse's own."""
    return plugins.sha256_of("families", name, families())


def family_origin(name: str) -> str:
    """Where a plug-in's family comes from; empty for one of emofuse's own."""
    return plugins.origin("families", name, families())
