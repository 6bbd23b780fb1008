"""A hook of the site's build: a public name of `emofuse` without a docstring is a warning, and warnings fail it."""

import logging
from typing import Any

import griffe

log = logging.getLogger("mkdocs.plugins.emofuse")


def on_pre_build(config: Any) -> None:
    """Look at every name that the module exports, and at what the classes among them offer."""
    loader = griffe.GriffeLoader(search_paths=["."])
    module = loader.load("emofuse")
    for package in ("features", "ensembles"):
        loader.load(package)
    loader.resolve_aliases(implicit=True)
    for name in map(str, module.exports or ()):
        thing = module[name].final_target if module[name].is_alias else module[name]
        _check(f"emofuse.{name}", thing)
        for attribute, member in thing.members.items() if thing.is_class else ():
            if not attribute.startswith("_") and (member.is_function or "property" in member.labels):
                _check(f"emofuse.{name}.{attribute}", member)


def _check(name: str, thing: Any) -> None:
    if not thing.docstring or not thing.docstring.value.strip():
        log.warning("%s has no docstring; every public name says what it does.", name)
