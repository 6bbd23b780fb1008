"""A recipe from its file: read, completed by the weights' places, checked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from features.errors import WrongUse
from features.plugins.files import files, use
from features.progress import say
from search.recipe.checks import check_recipe
from search.recipe.copies import changed_copy, is_copy
from search.recipe.inputs import imported_sets
from search.recipe.recipe import Recipe, recipe_of_data
from search.recipe.weights import place_weights
from search.recipe.yaml_files import read_yaml


def read_recipe(path: Path, store: Path | None = None, weights: Mapping[str, Path] | None = None) -> Recipe:
    """Read and check a recipe; every mistake is one WrongUse sentence.

    `store` is the feature store whose imported sets the recipe may name besides those that can be extracted. `weights`
    are files of pretrained parameters by entry, in place of those that the recipe names.
    """
    if (told := changed_copy(path)) is not None:
        say(told)
    recipe = with_plugins(
        recipe_of_data(read_yaml(path, "a recipe"), str(path)), path.parent, trusted=not is_copy(path)
    )
    return _completed(recipe, str(path), path.parent, store, weights)


def make_recipe(
    data: Any, name: str, folder: Path, store: Path | None = None, weights: Mapping[str, Path] | None = None
) -> Recipe:
    """`read_recipe` of a file's content; `name` is what errors call it, and relative paths start at `folder`."""
    return _completed(with_plugins(recipe_of_data(data, name), folder), name, folder, store, weights)


def with_plugins(recipe: Recipe, folder: Path, *, trusted: bool = True) -> Recipe:
    """The recipe with its plug-ins in use, their paths absolute.

    What is not `trusted`, the copy that a run's folder holds, causes no code to be loaded: WrongUse where the user has
    not named the file.
    """
    paths = [(folder / Path(file).expanduser()).resolve() for file in recipe.plugins]
    for path in paths:
        if trusted:
            use(path)
        elif path not in files():
            raise WrongUse(
                f"{folder}: a run's own recipe loads no code; if you trust its plug-in, give --plugin {path}."
            )
    return recipe.model_copy(update={"plugins": tuple(map(str, paths))})


def _completed(
    recipe: Recipe, name: str, folder: Path, store: Path | None, weights: Mapping[str, Path] | None
) -> Recipe:
    warm = [
        place if "://" in place else str((folder / Path(place).expanduser()).resolve()) for place in recipe.warm_start
    ]
    recipe = recipe.model_copy(update={"warm_start": tuple(warm)})
    recipe = place_weights(recipe, folder, weights or {})
    check_recipe(recipe, name, imported_sets(store))
    return recipe
