"""The recipes that come with emofuse."""

from pathlib import Path

import pytest

from search.recipe import read_recipe

ROOT = Path(__file__).parents[1]
RECIPES = [*sorted((ROOT / "recipes").glob("*.yaml")), ROOT / "ensembles" / "demo_recipe.yaml"]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_it_is_valid(path):
    recipe = read_recipe(path)
    assert recipe.stages
    assert all(entry.published_points() for _, entry in recipe.all_entries())
