"""Files of pretrained parameters that entries start from: where they lie, and that they stay the same."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from features.errors import EmofuseError, WrongUse
from features.files import file_sha256
from search.recipe.recipe import Entry, Recipe


def parse_weights(items: Sequence[str]) -> dict[str, Path]:
    """The files of `ENTRY=FILE` by entry."""
    files = {}
    for item in items:
        entry, _, file = item.partition("=")
        if not (entry and file):
            raise WrongUse(f"--weights expects ENTRY=FILE, such as vgg16=vgg_face.pth, but got {item!r}.")
        files[entry] = Path(file)
    return files


def place_weights(recipe: Recipe, folder: Path, given: Mapping[str, Path]) -> Recipe:
    """The recipe with absolute paths: its own start at `folder`, and those `given` by entry take their place."""
    for name in given:
        recipe.entry(name)

    def placed(entry: Entry) -> Entry:
        path = given.get(entry.name) or (folder / entry.weights if entry.weights else None)
        source = None if entry.name in given else entry.weights_from
        return entry.model_copy(update={"weights": str(path.resolve()) if path else None, "weights_from": source})

    stages = tuple(
        stage.model_copy(update={"entries": {name: placed(entry) for name, entry in stage.entries.items()}})
        for stage in recipe.stages
    )
    return recipe.model_copy(update={"stages": stages})


def weights_digest(entry: Entry) -> str:
    """sha256 (hex) of the entry's file, empty where it has none."""
    if not entry.weights:
        return ""
    if not Path(entry.weights).is_file():
        raise EmofuseError(f"Entry {entry.name!r}: {entry.weights}: no such file, expected pretrained weights.")
    return file_sha256(Path(entry.weights))
