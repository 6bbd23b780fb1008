"""Files of pretrained parameters that entries start from: where they lie, and that they stay the same."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from features.errors import EmofuseError, WrongUse
from features.files import file_sha256
from features.progress import say
from models.description import FILE, read_description
from models.space import Scalar
from search.recipe.entry import Entry
from search.recipe.recipe import Recipe


def parse_weights(items: Sequence[str]) -> dict[str, str]:
    """What `ENTRY=FILE` and `ENTRY=RUN:ENTRY` say behind the `=`, by entry."""
    places = {}
    for item in items:
        entry, _, place = item.partition("=")
        if not (entry and place):
            raise WrongUse(
                "--weights expects ENTRY=FILE, such as vgg16=vgg_face.pth, or ENTRY=RUN:ENTRY, such as "
                f"convnet100=fer_run:convnet100, but got {item!r}."
            )
        places[entry] = place
    return places


def place_weights(recipe: Recipe, folder: Path, given: Mapping[str, Path]) -> Recipe:
    """The recipe with absolute paths: its own start at `folder`, and those `given` by entry take their place.

    Weights that emofuse trained in the entry's family bring their hyperparameters along, but for those that the entry
    fixes or searches itself: the network has to have their shapes.
    """
    for name in given:
        recipe.entry(name)

    def placed(entry: Entry) -> Entry:
        path = given.get(entry.name) or (folder / entry.weights if entry.weights else None)
        source = None if entry.name in given else entry.weights_from
        fixed = {**(_taken_along(entry, path) if path else {}), **entry.fixed}
        update = {"weights": str(path.resolve()) if path else None, "weights_from": source, "fixed": fixed}
        return entry.model_copy(update=update)

    stages = tuple(
        stage.model_copy(update={"entries": {name: placed(entry) for name, entry in stage.entries.items()}})
        for stage in recipe.stages
    )
    return recipe.model_copy(update={"stages": stages})


def _taken_along(entry: Entry, path: Path) -> dict[str, Scalar]:
    if not (path.parent / FILE).is_file():
        return {}
    found = read_description(path.parent)
    if found.family != entry.family:
        return {}
    taken = {name: value for name, value in found.hyperparameters.items() if name not in {*entry.space, *entry.fixed}}
    shown = ", ".join(f"{name}={value}" for name, value in sorted(taken.items()))
    say(f"{entry.name}: its weights are those of {path.parent}, with their hyperparameters {shown}")
    return taken


def weights_digest(entry: Entry) -> str:
    """sha256 (hex) of the entry's file, empty where it has none."""
    if not entry.weights:
        return ""
    if not Path(entry.weights).is_file():
        raise EmofuseError(f"Entry {entry.name!r}: {entry.weights}: no such file, expected pretrained weights.")
    return file_sha256(Path(entry.weights))
