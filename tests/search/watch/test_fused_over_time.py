"""The fused score over time, from the files of a run."""

import json

import pytest
from small_world import recipe_file

import emofuse
from search.cluster.workers import Workers
from search.goal.history import FusedPoint, read_points
from search.recipe.reading import read_recipe
from search.run.ended import read_ended
from search.runner import run_search
from search.watch import fused as module
from search.watch.fused import FusedCurve, fused_over_time
from search.watch.status_view import fused_text


@pytest.fixture
def searched(small_run, tmp_path):
    run = small_run()
    entry = {"configurations": 4, "published": False}
    recipe = recipe_file(
        tmp_path, partitions=["train", "swap"], stages=[{"stage": "clips", "entries": {"centroid": entry}}]
    )
    run_search(read_recipe(recipe), clips=run.clips, store=run.store, out=run.path, workers=Workers(in_process=True))
    module._followed.clear()
    return run


def test_a_point_for_each_configuration_in_the_order_in_which_they_finished(searched):
    curve = fused_over_time(searched)
    ends = {}
    for trial in read_ended(searched.path):
        ends[trial.config_key] = max(trial.at_s, ends.get(trial.config_key, 0))
    assert [point.config_key for point in curve.points] == sorted(ends, key=ends.get)
    assert all(0 <= point.fused <= 1 and point.entry == "centroid" for point in curve.points)
    assert read_points(searched.path) == list(curve.points)


def test_it_is_the_same_from_its_file_and_from_part_of_it(searched):
    curve = fused_over_time(searched)
    file = searched.path / "fused.jsonl"
    lines = file.read_text().splitlines()
    for left in ("", "\n".join(lines[:3]), "\n".join([*lines[:2], lines[2][:40], *lines[3:]])):
        module._followed.clear()
        file.write_text(left)
        assert {p.config_key for p in fused_over_time(searched).points} == {p.config_key for p in curve.points}
        assert fused_over_time(searched).points[0] == curve.points[0]
    module._followed.clear()
    file.write_text("\n".join(lines[:3]))
    assert fused_over_time(searched) == curve


def test_damaged_predictions_do_not_join(searched):
    damaged = read_ended(searched.path)[0]
    path = searched.prediction(damaged.entry, damaged.trial_key)
    path.write_bytes(path.read_bytes()[:-9] + b"x" * 9)
    assert damaged.config_key not in {point.config_key for point in fused_over_time(searched).points}


def test_of_a_long_run_only_what_the_search_wrote_is_told(searched, monkeypatch):
    monkeypatch.setattr(module, "_MOST", 3)
    assert fused_over_time(searched) is None


def test_status_tells_it(searched, capsys):
    assert emofuse.main(["search", "status", str(searched.path)]) == 0
    text = capsys.readouterr().out
    assert "configurations" in text and "fused, nested" in text and "Highest fused accuracy: " in text
    assert emofuse.main(["search", "status", str(searched.path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["fused"]
    assert told["metric"] == "accuracy" and len(told["points"]) == 4


def test_its_text():
    points = [
        FusedPoint(f"k{n}", "a", n, own, fused)
        for n, (own, fused) in enumerate([(-0.9, -0.9), (-0.8, -0.7), (-1, -0.7)])
    ]
    text = fused_text(FusedCurve("log_loss", tuple(points)))
    assert [line.split() for line in text.splitlines()[:3]] == [
        ["configurations", "1", "2", "3"],
        ["best", "alone", "0.900", "0.800", "0.800"],
        ["fused,", "nested", "0.900", "0.700", "0.700"],
    ]
    assert text.endswith("Highest fused log_loss: 0.700, after 2 configurations; the 1 since brought no more.")
    assert "since" not in fused_text(FusedCurve("log_loss", tuple(points[:2])))
