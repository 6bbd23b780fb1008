"""The papers' numbers: some held against the papers by hand, all against themselves and against the recipes."""

from pathlib import Path

import numpy as np
import pytest

from ensembles.papers.published import NAMES, RECIPES, Paper, load_paper
from features.errors import WrongUse
from features.schema import parse
from search.recipe.recipe import recipe_of_data
from search.recipe.yaml_files import read_yaml

# Validation clips with faces by class, as figure 4's percentages tell them.
KAHOU_FACES = (59, 39, 44, 63, 59, 46, 61)


def table(paper, name):
    return next(one for one in load_paper(paper).tables if one.name == name)


def cell(paper, name, row, column):
    one = table(paper, name)
    if one.confusion:
        return one.confusion[one.classes.index(row)][one.classes.index(column)]
    place = [own.name for own in one.columns].index(column)
    return next(own.paper[place] for own in one.rows if own.name == row)


@pytest.mark.parametrize(
    ("paper", "name", "row", "column", "stated"),
    [
        ("kahou2015", "Table 1", "RNN", "training", 84.8),
        ("kahou2015", "Table 1", "Activity", "validation", 26.6),
        ("kahou2015", "Table 2", "1 train, val held out", "train", 86.216),
        ("kahou2015", "Table 2", "4 val, train held out", "valid", 71.967),
        ("kahou2015", "Table 2", "6 train+val, from 4", "test", 52.875),
        ("kahou2015", "Table 2", "7 random search over 3 and 6", "valid", None),
        ("kahou2015", "Figure 4 (c)", "Disgust", "Happy", 51.28),
        ("guo2019", "Section 3.2", "Hybrid network, train+val", "test unweighted", 41.21),
        ("guo2019", "Table 3", "AN", "AN", 76.56),
        ("guo2019", "Table 6", "SU", "FE", 35.71),
        ("chao2016", "Table 1", "temporal max-pooling 2048/256/7", "val", 45.28),
        ("chao2016", "Table 2", "Feature level fusion (LSTM-mean)", "test", 46.38),
        ("chao2016", "Figure 3", "Surprise", "Sad", 37.04),
        ("huang2018", "Table 3", "Temporal pooling", "arousal", 0.583),
        ("huang2018", "Table 2", "Original", "valence", 0.524),
        ("zheng", "Table 1", "ConvNet+Attention LSTM", "MAP", 23.04),
    ],
)
def test_cells_as_printed(paper, name, row, column, stated):
    long = {"AN": "Angry", "SU": "Surprise", "FE": "Fear"}
    assert cell(paper, name, long.get(row, row), long.get(column, column)) == stated


@pytest.mark.parametrize("paper", NAMES)
def test_rows_of_confusion_matrices_are_whole(paper):
    for one in load_paper(paper).tables:
        for name, line in zip(one.classes, one.confusion, strict=True):
            printed = 97.01 if (paper, one.name, name) == ("guo2019", "Table 6", "Neutral") else 100
            assert sum(line) == pytest.approx(printed, abs=0.03), f"{one.name}, {name}"


def test_matrices_agree_with_what_the_papers_say_of_them():
    for number, row in enumerate(
        table("guo2019", "Section 3.2").rows[:2] + table("guo2019", "Section 3.2").rows[3:6], 1
    ):
        matrix = np.array(table("guo2019", f"Table {number}").confusion)
        assert np.diag(matrix).mean() == pytest.approx(row.paper[1], abs=0.01), row.name
    assert np.diag(table("guo2019", "Table 6").confusion).mean() == pytest.approx(41.21, abs=0.01)
    for letter, row in (("a", "Aggregated CNN"), ("d", "RNN")):
        right = np.diag(table("kahou2015", f"Figure 4 ({letter})").confusion) @ KAHOU_FACES / sum(KAHOU_FACES)
        assert right == pytest.approx(cell("kahou2015", "Table 1", row, "validation"), abs=0.05)


@pytest.mark.parametrize("paper", NAMES)
def test_every_row_says_where_ours_comes_from_and_the_recipe_has_it(paper):
    found = load_paper(paper)
    path = RECIPES / f"{found.recipe}.yaml"
    recipe = recipe_of_data(read_yaml(path, "a recipe"), str(path))
    entries = {entry.name: entry for _, entry in recipe.all_entries()}
    for ours in found.sources():
        if ours.submission is not None:
            assert ours.submission in {one.name for one in recipe.submissions}
            continue
        assert ours.partition in recipe.partition_names("clips")
        points = [entries[ours.entry].complete(point) for point in entries[ours.entry].published_points()]
        assert any(all(point[name] == value for name, value in ours.where.items()) for point in points), ours
    for one in found.tables:
        for row in one.rows:
            assert row.none or row.ours or row.by_column


def test_every_model_of_a_recipe_stands_in_a_table():
    for paper, left_out in (
        ("kahou2015", {"fusion_stable", "fusion_mlp_swap", "fusion_stable_swap"}),
        ("guo2019", set()),
        ("zheng", set()),
        ("huang2018", set()),
    ):
        found = load_paper(paper)
        data = read_yaml(RECIPES / f"{found.recipe}.yaml", "a recipe")
        entries = {name for stage in data["stages"] if stage["stage"] != "backbone" for name in stage["entries"]}
        assert entries - {ours.entry for ours in found.sources()} == left_out, paper


def data(**changes):
    row = {"name": "one", "paper": [1.0], "ours": {"entry": "svm"}}
    whole = {"name": "T", "title": "t", "columns": [{"name": "val", "split": "val"}], "rows": [row | changes]}
    return {"paper": "p", "title": "t", "corpus": "c", "recipe": "r", "tables": [whole]}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"paper": [1.0, 2.0]}, "T, row 'one': expected a number for each of its columns"),
        ({"none": "private"}, "row 'one': expected one of `ours`, `by_column` and `none`"),
        ({"ours": {"entry": "a", "submission": "b"}}, "expected either an entry or a submission"),
    ],
)
def test_what_is_wrong_in_a_file_is_told(changes, told):
    with pytest.raises(WrongUse, match=r"^p\.yaml: ") as caught:
        parse(Paper, data(**changes), Path("p.yaml"), error=WrongUse)
    assert told in str(caught.value)


def test_an_unknown_paper_is_told_with_the_nearest():
    with pytest.raises(WrongUse, match="Did you mean 'kahou2015'"):
        load_paper("kahou2016")


def test_the_documentation_counts_its_deviations():
    text = (RECIPES.parent / "docs" / "papers.md").read_text()
    section = text[text.index("## Every known deviation") : text.index("## Feature-level fusion")]
    rows = [line for line in section.splitlines() if line.startswith("| ") and not line.startswith("| where |")]
    assert f"{len(rows)} statements of the papers" in section
    assert section.count("\n### ") == len(NAMES) + 1
