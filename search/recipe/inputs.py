"""What an entry reads: feature sets of the store, or a backbone's layer, by slot."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

from features.errors import WrongUse
from features.names import unknown_name
from features.sets import get_set, parse_spec, set_names
from features.store.store import stored_sets
from models.family import Backbone, Context, Family, Input
from models.whitened import Whitening

_LAYER = re.compile(r"([\w-]+)\.([\w.-]+)(?::selected=([1-9]\d*))?")
_WHITENING = re.compile(r"(scaled_)?pca=([1-9]\d*)")


def split_layer(spec: str) -> tuple[str, str] | None:
    """(`face_cnn`, `conv2`) of `face_cnn.conv2` or `face_cnn.conv2:selected=2048`; None for a feature set's spec."""
    match = _LAYER.fullmatch(spec)
    return (match[1], match[2]) if match else None


def selected(spec: str) -> int | None:
    """To how many numbers a layer is cut: 2048 of `face_cnn.conv2:selected=2048`; None: it is read whole."""
    match = _LAYER.fullmatch(spec)
    return int(match[3]) if match and match[3] else None


def layer_name(spec: str) -> str:
    """The layer that is read, whole or not: `face_cnn.conv2`."""
    return spec.partition(":")[0]


def source(spec: str) -> str:
    """The features that an input is made of: `yaafe_like` of `yaafe_like|pca=50`."""
    return spec.partition("|")[0]


def whitening(spec: str) -> Whitening | None:
    """To how many principal components an input is whitened on the fit rows: 50 of `yaafe_like|pca=50`; None: not."""
    _, bar, text = spec.partition("|")
    if not bar:
        return None
    match = _WHITENING.fullmatch(text)
    if match is None:
        raise WrongUse(f"Input {spec!r}: expected pca=N or scaled_pca=N with N from 1 after the |, but got {text!r}.")
    return Whitening(int(match[2]), scaled=bool(match[1]))


def whitenings(specs: Mapping[str, str]) -> dict[str, Whitening]:
    """How the inputs that are whitened are, by slot."""
    return {slot: how for slot, spec in specs.items() if (how := whitening(spec)) is not None}


def listed(given: str | tuple[str, ...], stage: str) -> tuple[str, ...]:
    """The inputs of a slot for many: a list, or of the stage `fusion` names with commas between them."""
    if isinstance(given, str):
        # A set's own parameters have commas between them.
        return tuple(name.strip() for name in given.split(",")) if stage == "fusion" else (given,)
    return given


def canonical_spec(spec: str) -> str:
    """The shortest text of the same input: parameters sorted, defaults left out."""
    features, bar, whitened = spec.partition("|")
    if split_layer(features) or features.partition(":")[0] not in set_names():
        return spec
    return f"{parse_spec(features)}{bar}{whitened}"


def check_whitening(spec: str, slot: Input) -> None:
    """Refuse a whitening that is written wrong, or of anything but vectors."""
    if whitening(spec) and slot.rank != 1:
        what = _describe(slot.level, slot.rank)
        raise WrongUse(f"Input {slot.slot!r}: expected {what}, but {spec!r} is whitened, as only vectors can be.")


def check_set_spec(spec: str, slot: Input, imported: frozenset[str]) -> None:
    """Refuse a feature set that doesn't exist or doesn't fit the slot; what was `imported` is checked when opened."""
    name = spec.partition(":")[0]
    if name not in set_names():
        if spec in imported:
            return
        raise unknown_name("feature set", name, {*set_names(), *imported})
    parsed = parse_spec(spec)
    record = get_set(name)
    check_fit(spec, slot, record.level_of(parsed.params), record.shape(parsed.params))


def check_fit(spec: str, slot: Input, level: str, shape: tuple[int, ...]) -> None:
    """Refuse features whose level or number of axes isn't what the slot takes."""
    if (level, len(shape)) != (slot.level, slot.rank):
        raise WrongUse(
            f"Input {slot.slot!r}: expected {_describe(slot.level, slot.rank)}, but {spec!r} gives "
            f"{_describe(level, len(shape))} (shape {shape})."
        )


def _describe(level: str, rank: int) -> str:
    what = {1: "a vector", 2: "a grey image", 3: "a colour image"}.get(rank, f"an array of {rank} axes")
    return f"{what} for each {level}"


def imported_sets(store: Path | None) -> frozenset[str]:
    """The names of the sets in a store that a user imported."""
    return frozenset(info.name for info in stored_sets(store) if info.imported) if store else frozenset()


def layers(family: Family) -> tuple[str, ...]:
    """The layers of a backbone that other families can read."""
    shapes = {}
    for slot in family.inputs:
        spec = parse_spec(slot.default)
        shapes[slot.slot] = tuple(get_set(spec.name).shape(spec.params))
    # Models know their layers before they are fitted; which classes they tell apart does not matter.
    return cast(Backbone, family.build(family.usual, Context(("a", "b"), shapes))).layers


def slots(family: Family, names: Iterable[str]) -> dict[str, Input]:
    """The family's input slots by name, where `names` are those of a trial's inputs."""
    return {slot.slot: slot for slot in family.slots(names)}
