"""Families by name. Each module of `models.families` ends in one record called `FAMILY`."""

import pkgutil
from functools import cache
from importlib import import_module
from types import MappingProxyType

from features.names import unknown_name
from models.family import Family


@cache
def families() -> MappingProxyType[str, Family]:
    """All families by name. Two of the same name are an error of the program, told with both modules."""
    found: dict[str, tuple[Family, str]] = {}
    for info in pkgutil.iter_modules(import_module("models.families").__path__):
        if info.name.startswith("_"):
            continue
        family: Family = import_module(f"models.families.{info.name}").FAMILY
        if family.name in found:
            raise ValueError(f"Two families are called {family.name!r}: {found[family.name][1]} and {info.name}.")
        found[family.name] = (family, info.name)
    return MappingProxyType({name: found[name][0] for name in sorted(found)})


def get_family(name: str) -> Family:
    """The family of that name; an unknown one is told with the nearest."""
    known = families()
    if name not in known:
        raise unknown_name("family", name, known)
    return known[name]
