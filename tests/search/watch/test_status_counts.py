"""What `search status` counts: the trials that the recipe asks for now, and a word on the others."""

from dataclasses import replace

import yaml
from small_world import CENTROID, FAMILIES, recipe_file

from search.cluster.workers import Workers
from search.recipe.reading import read_recipe
from search.run.folder import RunFolder
from search.runner import run_search
from search.watch.status import read_status
from search.watch.status_view import full_text


def _recipe(folder, **changes):
    entry = {"configurations": 3, "published": False, **changes.pop("entry", {})}
    stages = [{"stage": "clips", "entries": {"centroid": entry}}]
    return read_recipe(recipe_file(folder, partitions=["train", "swap"], stages=stages, **changes))


def _searched(run, recipe):
    return run_search(recipe, clips=run.clips, store=run.store, out=run.path, workers=Workers(in_process=True)).entries[
        0
    ]


def test_only_the_present_space_and_number_count(small_run, tmp_path):
    run = small_run()
    first = _searched(run, _recipe(tmp_path))
    assert (first.trials, first.finished, first.left, first.earlier) == (6, 6, 0, 0)

    narrow = _recipe(tmp_path, entry={"space": {"scale": [2.0, 3.0]}})
    RunFolder.prepare(run.path, narrow, run.clips, run.store)
    status = read_status(run)
    assert (status.left, status.entries[0].finished, status.entries[0].best) == (6, 0, None)
    assert "Not counted: 6 of centroid, trials that the recipe asked for earlier" in full_text(status)
    other = _searched(run, narrow)
    assert (other.finished, other.left, other.earlier) == (6, 0, 6)

    less = _searched(run, _recipe(tmp_path, entry={"space": {"scale": [2.0, 3.0]}, "configurations": 1}))
    assert (less.trials, less.finished, less.left, less.earlier) == (2, 2, 0, 10)
    back = _searched(run, _recipe(tmp_path))
    assert (back.finished, back.earlier) == (6, 6) and back.best_config == first.best_config
    assert "Not counted" in full_text(read_status(run))
    longer = _searched(run, _recipe(tmp_path, entry={"max_epochs": 2}))
    assert (longer.finished, longer.left, longer.earlier) == (6, 0, 12)


def test_without_an_account_all_trials_of_the_entry_count(small_run, tmp_path):
    run = small_run()
    _searched(run, _recipe(tmp_path))
    (run.path / "asked.jsonl").unlink()
    assert read_status(run).entries[0].finished == 6
    assert (_searched(run, _recipe(tmp_path)).finished, (run.path / "asked.jsonl").exists()) == (6, True)


def test_early_stopping_is_told_with_whose_wish_it_is(small_run, tmp_path, monkeypatch):
    run = small_run()
    monkeypatch.setitem(FAMILIES, "centroid", replace(CENTROID, max_epochs=100))
    for asha, epochs, told in (
        ("default", 6, None),
        ("default", 100, "ASHA stops weak configurations early, by default; `asha: null` in the recipe trains all to "),
        ({"grace_epochs": 2}, 6, "early, as the recipe asks: centroid (after epoch 2)."),
        ({"grace_epochs": 2}, 30, "as the recipe asks: centroid (after epoch 2, 6 or 18)."),
        (None, 100, None),
    ):
        given = {} if asha == "default" else {"asha": asha}
        recipe = _recipe(tmp_path, entry={"max_epochs": epochs}, **given)
        RunFolder.prepare(run.path, recipe, run.clips, run.store)
        text = full_text(read_status(run))
        assert (told in text) if told else "ASHA" not in text
        assert yaml.safe_load((run.path / "recipe.yaml").read_text()).get("asha", "default") == (
            {**asha} if isinstance(asha, dict) else asha
        )
