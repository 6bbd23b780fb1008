"""The recipes that come with emofuse."""

from pathlib import Path

import pytest

from features.errors import WrongUse
from features.sets import get_set, set_names
from search.cluster.workers import Workers
from search.recipe.reading import read_recipe
from search.smoke import read_smoke_recipe, run_smoke

ROOT = Path(__file__).parents[1]
RECIPES = [*sorted((ROOT / "recipes").glob("*.yaml")), ROOT / "ensembles" / "cli" / "demo_recipe.yaml"]
# Recipes that take a while even at their smallest, or whose entries all stand in another one.
SLOW = {"chao2016", "demo_recipe", "encoders", "guo2019"}
# The sets that the recipes' comments say to import.
IMPORTED = frozenset({"afew_faces_224_colour", "convnet", "fer2013_100", "fer2013_224_colour", "fer2013_equalised"})
# It reads somebody's outputs alone, and nothing can be made up in their place.
NOT_MADE_UP = {"afew_frames"}
# One package of each extra that feature sets need.
EXTRAS = {"research": "opensmile", "encoders": "transformers"}
# Their readers bring the models; without them it is told what is absent.
NEEDS_MODELS = {"encoders"}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_it_is_valid(path, monkeypatch):
    monkeypatch.setattr("search.recipe.reading.imported_sets", lambda store: IMPORTED)
    if path.stem in NEEDS_MODELS:
        with pytest.raises(WrongUse, match=r"expected a folder with config.json and .* but there is no folder"):
            read_recipe(path)
        recipe = read_smoke_recipe(path)
    else:
        recipe = read_recipe(path)
    assert recipe.stages
    assert all(entry.published_points() for _, entry in recipe.all_entries())


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The made-up clips and their features, the same for all recipes."""
    return tmp_path_factory.mktemp("smoke")


def smoke_param(path):
    return pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if path.stem in SLOW else [])


@pytest.mark.parametrize("path", [smoke_param(path) for path in RECIPES if path.stem not in NOT_MADE_UP])
def test_it_runs_from_end_to_end_at_tiny_sizes(path, data, tmp_path):
    recipe = read_smoke_recipe(path)
    specs = {spec.partition(":")[0] for _, entry in recipe.all_entries() for spec in entry.input_specs().values()}
    for extra in {get_set(name).extra for name in specs & set(set_names())} - {None}:
        pytest.importorskip(EXTRAS[extra])
    status = run_smoke(recipe, data, tmp_path / "run", Workers(in_process=True), processes=0)
    for entry in status.entries:
        assert (entry.finished, entry.left) == (entry.trials, 0), entry.reason
