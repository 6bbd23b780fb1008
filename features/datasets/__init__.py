"""Adapters from the layouts of published corpora to a clip table. Each lives in one module that ends in `ADAPTER`.

The modules are light: what decodes or draws is imported when an adapter runs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from features import plugins
from features.checking.rows import media_in_two_splits
from features.clip_names import tell_names, with_one_spelling
from features.clips import ClipTable, check_clips, hash_media, write_clips
from features.errors import WrongUse
from features.names import unknown_name
from features.progress import say

_MODULES = {
    "afew": "features.datasets.afew",
    "cheavd": "features.datasets.cheavd",
    "cremad": "features.datasets.cremad",
    "emodb": "features.datasets.emodb",
    "enterface": "features.datasets.enterface",
    "fer2013": "features.datasets.fer2013",
    "folder": "features.datasets.folder",
    "iemocap": "features.datasets.iemocap",
    "images": "features.datasets.images",
    "meld": "features.datasets.meld",
    "ravdess": "features.datasets.ravdess",
    "savee": "features.datasets.savee",
    "sewa": "features.datasets.sewa",
    "sfew": "features.datasets.sfew",
    "synthetic": "features.datasets.generated",
    "synthetic_recordings": "features.datasets.generated_recordings",
    "synthetic_stills": "features.datasets.generated_stills",
    "table": "features.datasets.table",
    "tfd": "features.datasets.tfd",
}

Value = str | int | float | bool


@dataclass(frozen=True)
class Option:
    """A setting of an adapter: its default, of whose type every value is, and the values it is limited to."""

    default: Value
    help: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Adapter:
    """A named reader of one layout: `read(root, **options)` gives the clip table, its media not yet hashed or checked.

    Where the corpus is labelled over time, the table comes with annotations.
    `root` says what ROOT is; `example` holds the arguments of a typical call, `access` who gives the corpus out.
    """

    name: str
    summary: str
    read: Callable[..., ClipTable]
    root: str
    example: str
    options: Mapping[str, Option] = field(default_factory=dict)
    access: str = ""


def dataset_names() -> tuple[str, ...]:
    """The names of emofuse's own adapters."""
    return tuple(sorted(_MODULES))


def plugged_datasets() -> tuple[str, ...]:
    """The names of plug-ins' adapters. WrongUse where one of them is there already."""
    return tuple(plugin.name for plugin in plugins.found("datasets", _MODULES))


def get_adapter(name: str) -> Adapter:
    """The adapter of that name; an unknown one is told with the nearest."""
    plugin = plugins.named("datasets", name, _MODULES)
    if plugin is not None:
        return plugin.load(Adapter)
    if name not in _MODULES:
        raise plugins.unknown("datasets", name, _MODULES)
    return import_module(_MODULES[name]).ADAPTER


def read_dataset(name: str, root: Path, **options: Value) -> ClipTable:
    """The clip table that the adapter `name` reads from `root`; options that are not given have their defaults.

    Labels, groups and splits have one spelling each; what was changed, and groups in several splits, are told.
    """
    adapter = get_adapter(name)
    for key, value in options.items():
        if key not in adapter.options:
            raise unknown_name(f"option of data set {name!r}", key, adapter.options)
        choices = adapter.options[key].choices
        if choices and value not in choices:
            raise WrongUse(f"Data set {name!r}: {key} is one of {', '.join(choices)}, but got {value!r}.")
    defaults = {key: option.default for key, option in adapter.options.items()}
    table = with_one_spelling(adapter.read(root, **defaults | options), root)
    tell_names(table, root)
    return table


def make_clip_table(name: str, root: Path, out: Path, **options: Value) -> ClipTable:
    """`read_dataset` with its media hashed, checked and written to `out`; a table that can't be trained on is refused.

    Paths of the table are relative to `root`. Groups and files that lie in more than one split are told.
    """
    table = hash_media(read_dataset(name, root, **options))
    check_clips(table)
    for finding in media_in_two_splits(table):
        say(f"warning: {root}: {finding.text}; a search refuses such partitions")
    write_clips(table, out)
    return table
