"""A recipe from its file: read, completed by the weights' places, checked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from features.progress import say
from search.recipe.checks import check_recipe
from search.recipe.copies import changed_copy
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
    return make_recipe(read_yaml(path, "a recipe"), str(path), path.parent, store, weights)


def make_recipe(
    data: Any, name: str, folder: Path, store: Path | None = None, weights: Mapping[str, Path] | None = None
) -> Recipe:
    """`read_recipe` of a file's content; `name` is what errors call it, and relative paths start at `folder`."""
    recipe = place_weights(recipe_of_data(data, name), folder, weights or {})
    check_recipe(recipe, name, imported_sets(store))
    return recipe
