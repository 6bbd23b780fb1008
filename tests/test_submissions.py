"""Kahou's seven submissions: named by the recipe, built with exactly their members, partitions and weights."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from small_world import corpus, message, put_in_place

import emofuse
from ensembles.records.stored import open_ensemble
from features.errors import WrongUse
from search.recipe.reading import make_recipe, read_recipe
from search.run.predictions import prediction_files, read_footer, read_predictions, write_predictions

ROOT = Path(__file__).parents[1]
SHARED = ["cnn_pool_svm", "audio_svm", "cnn_irnn", "activity_svm"]
FAST = {"draws": 200, "sigma_min": 0.3}
SMALL = [
    {"name": "s1", "partition": "train", "members": ["one", "two"], "params": FAST},
    {"name": "s2", "partition": "train", "members": ["one", "three"], "params": FAST},
    {"name": "s3", "refit_of": "s2"},
    {"name": "s4", "partition": "swap", "members": ["one", "two"], "params": FAST},
    {"name": "s5", "partition": "swap", "members": ["one", "three"], "params": FAST},
    {"name": "s6", "refit_of": "s4"},
    {"name": "s7", "over": ["s3", "s6"], "params": FAST},
]


def run(*words):
    return emofuse.main([str(word) for word in words])


def small(submissions=SMALL):
    entries = {name: {"family": "centroid", "configurations": 2} for name in ("one", "two", "three")}
    stages = [{"stage": "clips", "entries": entries}]
    return {
        "name": "small",
        "seed": 3,
        "asha": None,
        "partitions": ["train", "swap"],
        "stages": stages,
        "submissions": submissions,
    }


def test_the_recipe_names_the_seven_of_the_paper(monkeypatch):
    monkeypatch.setattr("search.recipe.reading.imported_sets", lambda store: frozenset({"fer2013_equalised"}))
    found = {one.name: one for one in read_recipe(ROOT / "recipes" / "kahou2015.yaml").submissions}
    assert list(found) == [f"s{n}" for n in range(1, 8)]
    for name, partition, network in (
        ("s1", "train", "fusion_mlp"),
        ("s2", "train", "fusion_stable"),
        ("s4", "swap", "fusion_mlp_swap"),
        ("s5", "swap", "fusion_stable_swap"),
    ):
        assert (found[name].partition, list(found[name].members)) == (partition, [*SHARED, network])
    assert (found["s3"].refit_of, found["s6"].refit_of) == ("s2", "s4")
    assert found["s7"].over == ("s3", "s6")
    assert {one.method for one in found.values()} == {None}, "which is `decision`"


@pytest.fixture
def built(tmp_path, monkeypatch):
    put_in_place(monkeypatch)
    monkeypatch.chdir(tmp_path)
    corpus(tmp_path)
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(small(), sort_keys=False))
    words = ["--clips", "clips.parquet", "--features", "store", "-o", "run", "--in-process"]
    assert run("search", "run", "recipe.yaml", *words) == 0
    for path in prediction_files(tmp_path / "run"):  # the partitions stop at different epochs
        rows = read_predictions(path)
        epoch = {"train": 2, "swap": 5}[rows.footer.partition]
        write_predictions(tmp_path / "run", type(rows)(**{**vars(rows), "footer": at_epoch(rows.footer, epoch)}))
    return tmp_path / "run"


def at_epoch(footer, epoch):
    return type(footer)(**{**vars(footer), "best_epoch": epoch})


def test_all_seven_are_built_of_exactly_their_members(built, capsys):
    assert run("ensemble", "submissions", built, "--in-process", "--test") == 0
    shown = capsys.readouterr().out
    made = {f"s{n}": open_ensemble(built, f"s{n}") for n in range(1, 8)}
    assert all(name in shown for name in made)
    page = built / "report.html"
    assert run("report", built, "-o", page) == 0
    assert f"emofuse ensemble submissions {built}" in page.read_text(), "the command that makes them again"
    assert "--name s1" not in page.read_text()
    for one in SMALL:
        own = made[one["name"]]
        if "members" in one:
            assert [member.entry for member in own.members] == sorted(one["members"]), "one of each, and no other"
            assert own.partitions == (one["partition"],)
            assert all(set(member.trials) == {one["partition"]} for member in own.members)
            assert not own.refits and "test" in own.scores["ensemble"]
    for name, of, epochs in (("s3", "s2", 2), ("s6", "s4", 5)):
        own, base = made[name], made[of]
        np.testing.assert_array_equal(own.weights, base.weights)
        assert [(m.entry, m.config_key, m.trials) for m in own.members] == [
            (m.entry, m.config_key, m.trials) for m in base.members
        ]
        files = {path.stem: path for path in prediction_files(built)}
        assert {read_footer(files[key]).epochs for _, key in own.refits} == {epochs}
        assert "test_refit" in own.scores["ensemble"]
    seventh = made["s7"]
    assert seventh.members == (*made["s3"].members, *made["s6"].members)
    np.testing.assert_allclose(seventh.weights.sum(axis=0), 1)
    share = seventh.weights[:2] / made["s3"].weights
    np.testing.assert_allclose(share[0][made["s3"].weights[0] > 0], share[1][made["s3"].weights[0] > 0], atol=1e-9)
    assert "test_refit" in seventh.scores["ensemble"] and seventh.scores["ensemble"]["fit"].n_clips == 16
    assert run("ensemble", "predictions", built, "s7", "-o", built / "s7.csv") == 0
    assert run("ensemble", "leaderboard", built, "--test", "--recall") == 0
    assert run("report", built, "-o", built / "r.html", "--test") == 0


def test_again_trains_nothing(built):
    assert run("ensemble", "submissions", built, "--in-process") == 0
    before = {path: path.stat().st_mtime_ns for path in prediction_files(built)}
    weights = open_ensemble(built, "s7").weights
    assert run("ensemble", "submissions", built, "--in-process") == 0
    assert {path: path.stat().st_mtime_ns for path in prediction_files(built)} == before
    np.testing.assert_array_equal(open_ensemble(built, "s7").weights, weights)


def test_exactly_these_members_are_fitted(built, capsys):
    fit = ["ensemble", "fit", built, "--partition", "train", "--method", "uniform", "--json"]
    capsys.readouterr()
    assert run(*fit, "--member", "one", "--member", "three") == 0
    members = json.loads(capsys.readouterr().out)["members"]
    assert [member["entry"] for member in members] == ["one", "three"]
    config = next(read_footer(p).config_key for p in prediction_files(built) if "family=two" in str(p))
    assert run(*fit, "--member", f"two/{config[:12]}", "--member", "one") == 0
    members = json.loads(capsys.readouterr().out)["members"]
    assert {member["entry"] for member in members} == {"one", "two"} and config in {m["config_key"] for m in members}
    assert run(*fit, "--member", "tow") == 2
    assert "Did you mean 'two'?" in capsys.readouterr().err
    assert run(*fit, "--member", "two", "--member", "two/abc") == 2
    assert "Entry 'two' is named twice: say which of its configurations, as two/CONFIG." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("one", "told"),
    [
        ({"partition": "train"}, "submission 'x': expected one of `members`, `refit_of` and `over`."),
        ({"members": ["one"]}, "submission 'x': `members` and `partition` belong together, and to no other kind."),
        ({"members": ["one"], "partition": "swp"}, "Did you mean 'swap'?"),
        ({"members": ["on"], "partition": "train"}, "Did you mean 'one'?"),
        ({"refit_of": "s8"}, "submission 'x': Unknown earlier submission 's8'"),
        ({"refit_of": "s3"}, "submission 'x': 's3' has no members of its own to refit."),
        ({"over": ["s1", "s3"]}, "`over` takes refitted submissions, whose members all know train and val."),
        ({"name": "s1", "refit_of": "s2"}, "submission 's1': an earlier one has this name."),
    ],
)
def test_wrong_submissions_are_told(monkeypatch, tmp_path, one, told):
    put_in_place(monkeypatch)
    data = small([*SMALL, {"name": "x", **one}])
    assert told in message(make_recipe, data, "r.yaml", tmp_path, error=WrongUse)
