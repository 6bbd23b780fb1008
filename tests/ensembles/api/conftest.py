"""A finished search of the small world, with clips and features beside it, for the tests of the API."""

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "search"))

import small_world

import emofuse as ef
from features.errors import ClipFailure
from features.sets import FeatureArray


def _read(media, params):
    """A clip's vector, from the text in its file."""
    if not media.path.is_file():
        raise ClipFailure("missing", f"no such file: {media.path}")
    return FeatureArray(np.array([media.path.read_text().split()], np.float32), np.zeros(1))


def _put_in_place(patch):
    patch.setitem(small_world.SETS, "vec", replace(small_world.SETS["vec"], extract=_read))
    small_world.put_in_place(patch)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The folder that holds it, with two media files a.mp4 and b.mp4; runs/first has the ensembles best and greedy."""
    folder = tmp_path_factory.mktemp("api")
    with pytest.MonkeyPatch.context() as patch:
        _put_in_place(patch)
        patch.chdir(folder)
        small_world.corpus(folder)
        (folder / "a.mp4").write_text("1 1 1 1", encoding="utf-8")
        (folder / "b.mp4").write_text("0 0 0 0", encoding="utf-8")
        run = ef.search(
            small_world.recipe_file(folder), clips="clips.parquet", features="store", out="runs/first", in_process=True
        )
        run.fit("uniform", name="best")
        run.fit("greedy")
    return SimpleNamespace(folder=folder, run=run)


@pytest.fixture
def world(finished, monkeypatch):
    """The same, while the small world is in place of the real sets and families, and its folder is the working one."""
    _put_in_place(monkeypatch)
    monkeypatch.chdir(finished.folder)
    return finished
