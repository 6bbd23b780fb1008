"""What makes no sense together is refused when a recipe is read."""

from dataclasses import replace

import pytest
from small_world import CENTROID, FAMILIES, message, recipe_file

from features.errors import WrongUse
from search.recipe.reading import read_recipe

MEDIAN = {"rule": "median", "after": 2}
ONE_MORE = "a trial for each partition and seed), but got"


def _entries(**entry):
    return [{"stage": "clips", "entries": {"centroid": {"configurations": 4, **entry}}}]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"shares": "equal"},
            "shares: only `goal: ensemble` has them; leave the key out, or name that goal.",
        ),
        (
            {"partitions": ["train", "swap"], "fold_stopping": MEDIAN},
            "fold_stopping: it looks at a configuration after 2 of its trials, but expected one with more: they have 2 "
            "at most; leave it out, lower `after`, or give more partitions.",
        ),
        (
            {"partitions": [{"folds": 3}], "fold_stopping": MEDIAN, "stages": _entries(choose_on="fold-0-of-3")},
            "fold_stopping: it looks at a configuration after 2 of its trials, but expected one with more: the entries "
            "have choose_on; leave it out, lower `after`, or give more partitions.",
        ),
        (
            {"partitions": [{"folds": 3}], "seeds": 2, "budget": {"trials": 5}},
            f"budget.trials: expected 6 or more, as many as one configuration has ({ONE_MORE} 5.",
        ),
        (
            {"partitions": ["train", "swap"], "stages": _entries(budget={"trials": 1})},
            f"entry 'centroid': budget.trials: expected 2 or more, as many as one configuration has ({ONE_MORE} 1.",
        ),
        (
            {"stages": _entries(budget={"gpu_hours": 1}, resources={"gpu": 0})},
            "entry 'centroid': budget.gpu_hours: the trials ask for no GPU, so they would never end; give hours or "
            "trials.",
        ),
        (
            {"stages": _entries(resources={"gpu": 0}), "budget": {"gpu_hours": 1}},
            "recipe.yaml: budget.gpu_hours: the trials ask for no GPU, so they would never end; give hours or trials.",
        ),
    ],
)
def test_what_would_rule_nothing_or_begin_nothing(tmp_path, world, changes, told):
    assert message(read_recipe, recipe_file(tmp_path, **changes), error=WrongUse).endswith(told)


@pytest.mark.parametrize(
    "changes",
    [
        {"partitions": ["train", "swap"], "seeds": 2, "fold_stopping": MEDIAN},
        {"partitions": [{"folds": 3}], "fold_stopping": MEDIAN},
        {"partitions": [{"folds": 3}], "budget": {"trials": 3, "gpu_hours": 1}},
    ],
)
def test_what_does(tmp_path, world, changes):
    assert read_recipe(recipe_file(tmp_path, **changes)).stages


def test_a_goal_needs_an_ensemble_of_classes(monkeypatch, tmp_path, world):
    backbones = [{"stage": "backbone", "entries": {"toy_cnn": {"configurations": 1}}}]
    text = message(read_recipe, recipe_file(tmp_path, goal="ensemble", stages=backbones), error=WrongUse)
    assert text.endswith("goal: ensemble: an ensemble has models of clips as members, but there are backbones only.")
    monkeypatch.setitem(FAMILIES, "over_time", replace(CENTROID, name="over_time", tasks=("regression",)))
    stages = [{"stage": "clips", "entries": {"over_time": {"configurations": 1}}}]
    text = message(read_recipe, recipe_file(tmp_path, stop_when={"no_gain": 5}, stages=stages), error=WrongUse)
    told = "stop_when: an ensemble of classes is looked at, but entry 'over_time' learns labels over time."
    assert text.endswith(told)
