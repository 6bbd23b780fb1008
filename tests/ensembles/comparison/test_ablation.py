"""Every subset of an ensemble's members gets weights of its own."""

from dataclasses import replace

import numpy as np
import pyarrow.csv as pa_csv
import pytest
import yaml
from small_world import corpus, put_in_place

import emofuse
from ensembles.comparison.ablation import ablate, subsets
from ensembles.records.stored import open_ensemble
from features.errors import WrongUse


@pytest.fixture
def run(tmp_path, monkeypatch):
    put_in_place(monkeypatch)
    monkeypatch.chdir(tmp_path)
    corpus(tmp_path)
    entries = {name: {"family": "centroid", "configurations": 1} for name in ("one", "two", "three")}
    stages = [{"stage": "clips", "entries": entries}]
    (tmp_path / "r.yaml").write_text(yaml.safe_dump({"name": "small", "asha": None, "stages": stages}))
    words = ["--clips", "clips.parquet", "--features", "store", "-o", "run", "--in-process"]
    assert emofuse.main(["search", "run", "r.yaml", *words]) == 0
    fit = ["--method", "decision", "--param", "draws=200", "--param", "sigma_min=0.3", "--name", "all", "--all"]
    assert emofuse.main(["ensemble", "fit", "run", *fit]) == 0
    return tmp_path / "run"


def test_all_subsets_by_the_ensembles_own_method(run, tmp_path, capsys):
    whole = open_ensemble(run, "all")
    found = list(ablate(run, whole))
    assert [len(one.members) for one in found] == [1, 1, 1, 2, 2, 2, 3]
    assert len({frozenset(member.name for member in one.members) for one in found}) == 7
    assert {(one.method, *one.params.items()) for one in found} == {("decision", ("draws", 200), ("sigma_min", 0.3))}
    np.testing.assert_array_equal(found[-1].weights, whole.weights), "the whole is the ensemble itself"
    assert all({"fit", "nested"} <= one.scores["ensemble"].keys() for one in found)
    capsys.readouterr()
    assert emofuse.main(["ensemble", "ablation", "run", "all", "--csv", "s.csv", "--test"]) == 0
    assert "Subsets of all, method decision" in capsys.readouterr().out
    rows = pa_csv.read_csv(tmp_path / "s.csv").to_pylist()
    assert rows[-1]["members"] == "one+three+two" and rows[-1]["size"] == 3
    assert [row["fit"] for row in rows] == [one.scores["ensemble"]["fit"].accuracy for one in found]
    assert all(row["nested_low"] <= row["nested"] <= row["nested_high"] and row["test"] is not None for row in rows)


def test_members_of_one_entry_are_told_apart(run):
    whole = open_ensemble(run, "all")
    # Under the name of another entry, as if both were its configurations.
    one, two = (member for member in whole.members if member.entry != "three")
    names = [found.name for found in ablate(run, replace(whole, members=(one, two, one)))]
    assert names[:2] == [f"one-{one.config_key[:6]}", "two"]


def test_many_members_are_refused(run):
    whole = open_ensemble(run, "all")
    with pytest.raises(WrongUse, match=r"has 9 members, so 511 subsets: .* at most 8 members; fit one of fewer"):
        subsets(replace(whole, members=whole.members * 3))
