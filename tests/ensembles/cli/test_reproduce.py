"""`emofuse reproduce`: wrong use is told before anything is made; all five papers run on made-up data (slow)."""

import re

import pyarrow.csv as pa_csv
import pytest

import emofuse
from ensembles.cli.roads import LAYOUTS, ROADS, Road, _without
from ensembles.cli.steps import run_command
from ensembles.papers.published import NAMES, RECIPES, load_paper
from search.recipe.yaml_files import read_yaml


def reproduce(*words):
    return emofuse.main(["reproduce", *map(str, words)])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["kahou"], "Did you mean 'kahou2015'?"),
        (["kahou2015"], "A reproduction needs --data, the unpacked corpus; to try it on made-up data give --smoke."),
        (["kahou2015", "--data", "AFEW"], "kahou2015 needs --stills, FER2013's CSV."),
        (["chao2016", "--data", "AFEW"], "chao2016 needs --stills, SFEW's folder."),
        (["huang2018", "--data", "SEWA", "--stills", "x"], "huang2018 trains on no stills: leave out --stills."),
        (["guo2019", "--data", "AFEW", "--stills", "x", "--people", "y"], "--people belongs to chao2016"),
        (["zheng", "--smoke", "--data", "x", "--weights", "a=b"], "leave out --data and --weights."),
    ],
)
def test_wrong_use_is_told_before_anything_is_made(words, told, tmp_path, capsys):
    assert reproduce(*words, "-o", tmp_path / "out") == 2
    assert told in re.sub(r"\s+", " ", capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


def test_every_paper_has_a_road_and_made_up_data():
    assert tuple(ROADS) == NAMES == tuple(LAYOUTS)


def test_a_model_that_cannot_be_had_takes_its_submissions_along():
    data = read_yaml(RECIPES / "guo2019.yaml", "a recipe")
    _without(data, "vgg_lstm_given")
    assert "vgg_lstm_given" not in data["stages"][1]["entries"] and "vgg_lstm" in data["stages"][1]["entries"]
    assert data["submissions"] == [], "also the refit of one that is gone"


def test_a_recipe_is_copied_as_it_is_and_small_in_a_smoke_run(tmp_path):
    road = Road("zheng", tmp_path, tmp_path)
    assert road.recipe("zheng").read_text() == (RECIPES / "zheng.yaml").read_text()
    small = Road("huang2018", tmp_path, tmp_path, smoke=True).recipe("huang2018")
    entry = read_yaml(small, "a recipe")["stages"][0]["entries"]["conv3d_temporal"]
    assert (entry["configurations"], entry["max_epochs"], entry["fixed"]["filters"]) == (4, 2, 4), (
        "all windows that are published"
    )


def test_a_command_is_printed_before_it_runs(capsys, tmp_path):
    with pytest.raises(Exception, match="no such folder"):
        run_command("features", "ls", tmp_path / "no store")
    assert f"$ emofuse features ls '{tmp_path}/no store'" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("paper", NAMES)
def test_a_paper_from_its_corpus_to_its_tables(paper, tmp_path, capsys):
    if paper in ("kahou2015", "guo2019"):
        pytest.importorskip("opensmile")
    if paper == "chao2016":
        pytest.importorskip("dlib")
    assert reproduce(paper, "--smoke", "-o", tmp_path) == 0
    shown = capsys.readouterr()
    assert "$ emofuse search run" in shown.err and "$ emofuse features extract" in shown.err
    rows = pa_csv.read_csv(tmp_path / "tables.csv").to_pylist()
    stated = [row for row in rows if row["stated"] is not None]
    assert len(stated) == sum(
        sum(value is not None for row in table.rows for value in row.paper) + sum(map(len, table.confusion))
        for table in load_paper(paper).tables
    )
    without = {row["why_not"] for row in stated if row["ours"] is None}
    assert all(any(text in why for text in ("is not rebuilt", "of another paper")) for why in without), without
    for table in load_paper(paper).tables:
        assert f"{table.name}: " in shown.out
    assert reproduce(paper, "--smoke", "-o", tmp_path) == 0, "again"
    assert not re.search(r"\d of \d+  \w+ \w{8} \w+: held-out", capsys.readouterr().err), "nothing is trained twice"
