"""Fixtures of the search's tests; `world` is small_world.py in the place of the real sets and families."""

import pytest
from small_world import corpus, put_in_place, recipe_file

from search.recipe.reading import read_recipe
from search.run.folder import RunFolder


@pytest.fixture
def world(monkeypatch):
    """The feature sets and families of small_world.py, and no others."""
    put_in_place(monkeypatch)


@pytest.fixture(scope="module")
def module_world():
    """The same for a whole module."""
    with pytest.MonkeyPatch.context() as patch:
        put_in_place(patch)
        yield


@pytest.fixture
def small_run(tmp_path, world):
    """Makes a run: `small_run(failed=(clip ids), stills=True, **changes of the recipe)`."""

    def make(failed=(), stills: bool = False, **changes) -> RunFolder:
        clips = corpus(tmp_path, failed=failed)
        table = corpus(tmp_path, "stills") if stills else None
        recipe = read_recipe(recipe_file(tmp_path, **changes))
        return RunFolder.prepare(tmp_path / "run", recipe, clips, tmp_path / "store", table)

    return make
