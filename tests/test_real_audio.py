"""The audio families' road on real speech, from files to one leaderboard; a few actors, tiny networks."""

from pathlib import Path

import pytest

from ensembles.comparison.leaderboard import leaderboard
from features.clips import hash_media, read_clips, write_clips
from features.datasets import read_dataset
from features.extract import extract
from search.cluster.workers import Workers
from search.recipe.inputs import source
from search.runner import run_search
from search.smoke import read_smoke_recipe

RECIPE = Path(__file__).parents[1] / "recipes" / "ravdess_families.yaml"


@pytest.mark.slow
@pytest.mark.real_data
def test_all_audio_families_in_one_leaderboard(real_data, tmp_path):
    pytest.importorskip("opensmile", reason="needs the extra research")
    actors = {"modality": "audio", "train": "1-3", "val": "13", "test": "14"}
    clips = tmp_path / "clips.parquet"
    write_clips(hash_media(read_dataset("ravdess", real_data / "ravdess_audio", **actors)), clips)
    recipe = read_smoke_recipe(RECIPE)
    entries = {entry.name: entry for _, entry in recipe.all_entries()}
    specs = {source(spec) for entry in entries.values() for spec in entry.input_specs().values()}
    extract(read_clips(clips), sorted(specs), tmp_path / "store", workers=0)
    workers = Workers(in_process=True)
    run_search(recipe, clips=clips, store=tmp_path / "store", out=tmp_path / "run", stills=None, workers=workers)
    board = leaderboard(tmp_path / "run", test=True, intervals=None)
    rows = {row.entry: row for row in board.members}
    assert set(rows) == set(entries) and not board.left_out
    assert (board.n_clips, board.n_groups) == (60, 1)
    assert all(row.coverage == 1 and row.interval is None for row in rows.values()), "one actor: no interval"
    # The best machine of those that aren't cut short; chance: .133.
    assert max(rows[name].test_accuracy for name in ("svm_is10", "svm_functionals")) > 0.25
