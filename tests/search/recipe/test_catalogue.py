"""The catalogue of families."""

import json

import emofuse
from models.registry import families


def test_all_families_are_listed(capsys):
    assert emofuse.main(["search", "families"]) == 0
    told = capsys.readouterr().out
    assert [line.split()[0] for line in told.splitlines()] == list(families())


def test_one_family_in_full(capsys):
    assert emofuse.main(["search", "families", "audio_svm"]) == 0
    told = capsys.readouterr().out
    assert "kernel: linear | rbf" in told
    assert "reads audio: is10 by default (per clip)" in told


def test_json_holds_every_record(capsys):
    assert emofuse.main(["search", "families", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert {row["name"] for row in data} == set(families())
    assert all(point.keys() == row["space"].keys() for row in data for point in row["published"])


def test_an_unknown_family_names_the_nearest(capsys):
    assert emofuse.main(["search", "families", "audio_swm"]) == 2
    assert "Did you mean 'audio_svm'?" in capsys.readouterr().err
