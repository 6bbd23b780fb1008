"""Words of a recipe that were made one by one, in pairs: six recipes in which every two of ten words meet."""

import os
import random
from collections import defaultdict
from dataclasses import replace
from itertools import combinations

import pytest
from small_world import CENTROID, FAMILIES, Centroid, corpus, recipe_file

from search.cluster.workers import Workers
from search.recipe.reading import read_recipe
from search.run.ended import read_ended
from search.run.folder import RunFolder
from search.run.predictions import prediction_files
from search.runner import run_search
from search.watch.status import read_status

_EQUAL = "ensemble, equal shares"
# Each has a value in one recipe and another one in the next.
WORDS = {
    "goal": ["ensemble", _EQUAL],
    "budget": [{"trials": 14}, {"hours": 1.0, "trials": 17}, {"gpu_hours": 1.0, "trials": 14}],
    "own_budget": [{"trials": 6}, {"hours": 1.0, "gpu_hours": 1.0}],
    "stop_when": [{"no_gain": 3}, {"no_gain": 2}],
    "fold_stopping": [
        {"rule": "median", "after": 1, "least": 2},
        {"rule": "halving", "after": 1, "least": 2, "reduction": 2},
    ],
    "seeds": [2, {"best": 2}],
    "choose_on": ["swap", "train"],
    "points": [[{"scale": 0.3}, {"scale": 2.0}]],
    "warm_start": [["pilot"]],
    "sampler": ["tpe"],
}
# A word is in three of five recipes, no two words in the same three; in the sixth is none. So of any two there is a
# recipe with both, with neither, and with each alone.
_PLACES = dict(zip(WORDS, combinations(range(5), 3), strict=True))
RECIPES = [{word: values[n % len(values)] for word, values in WORDS.items() if n in _PLACES[word]} for n in range(6)]
# Beside the words: a stage that reads what the first one trained, and every fifth seed that fails.
MORE = ("fusion", "failures")
OF_THE_ENTRY = {"choose_on": "choose_on", "points": "points", "own_budget": "budget"}


@pytest.fixture
def trained(monkeypatch, world):
    """Counts trainings; ends its process at the one that `dies_at` tells."""
    state = {"count": 0, "dies_at": None, "failures": False}

    class Counted(Centroid):
        def fit(self, *args, **options):
            state["count"] += 1
            if state["count"] == state["dies_at"]:
                os._exit(9)
            if state["failures"] and self.context.seed % 5 == 0:
                raise ValueError("a bad seed")
            return super().fit(*args, **options)

    class Guessing(Counted):
        def predict(self, examples):
            return super().predict(examples)[:, ::-1].copy()

    monkeypatch.setitem(FAMILIES, "centroid", replace(CENTROID, build=Counted))
    monkeypatch.setitem(FAMILIES, "wrong", replace(CENTROID, name="wrong", build=Guessing))
    monkeypatch.setitem(FAMILIES, "fused", replace(FAMILIES["fused"], build=Counted))
    for module in ("studies", "drawing"):  # TPE has a say in so few trials
        monkeypatch.setattr(f"search.sampling.{module}.START", 2)
    return state


def _recipe(folder, words):
    entry = {"configurations": 5, "max_epochs": 1}
    own = {OF_THE_ENTRY[word]: value for word, value in words.items() if word in OF_THE_ENTRY}
    if "points" in words:
        own["prior"] = {"scale": 3.0}
    stages = [{"stage": "clips", "entries": {"centroid": {**entry, **own}, "wrong": entry}}]
    if "fusion" in words:
        fused = {**entry, "configurations": 3, "inputs": {"members": ["centroid"]}}
        stages.append({"stage": "fusion", "entries": {"fused": fused}})
    rest = {word: value for word, value in words.items() if word not in (*OF_THE_ENTRY, *MORE)}
    if rest.get("goal") == _EQUAL:
        rest |= {"goal": "ensemble", "shares": "equal"}
    return read_recipe(recipe_file(folder, partitions=["train", "swap"], stages=stages, **rest))


def _check(trained, folder, words, moments):
    """The search that `words` ask for ends and adds up, and starts nothing more, killed or not."""

    def search(out, recipe):
        trained["count"] = 0
        places = {"clips": folder / "clips.parquet", "store": folder / "store"}
        return run_search(recipe, out=folder / out, workers=Workers(in_process=True), **places)

    def keys(out):
        return sorted(path.stem for path in prediction_files(folder / out))

    trained["failures"] = "failures" in words
    corpus(folder)
    if "warm_start" in words:
        search("pilot", _recipe(folder, {}))
    recipe = _recipe(folder, words)
    status = search("whole", recipe)
    fits = trained["count"]
    _adds_up(folder / "whole", recipe, status, fits)
    assert search("whole", recipe).entries == status.entries and trained["count"] == 0, "once is enough"
    _kill_until_done(trained, lambda: search("killed", recipe), moments)
    assert keys("killed") == keys("whole")
    assert read_status(RunFolder.open(folder / "killed")).entries == status.entries
    (folder / "whole" / "study.journal").unlink()
    assert search("whole", recipe).entries == status.entries and trained["count"] == 0, "the files are the truth"


def _adds_up(run, recipe, status, fits):
    for entry in status.entries:
        assert entry.trials == entry.finished + entry.pruned + entry.failed + entry.left
    spent = sum(entry.finished + entry.failed for entry in status.entries)
    assert spent == fits or (spent < fits and len(recipe.stages) == 2), "a fusion's members are trained once more"
    ended, together = read_ended(run), defaultdict(list)
    for trial in ended:
        together[trial.entry, trial.config_key, trial.repeat].append(trial.partition)
    assert all(sorted(partitions) == ["swap", "train"] for partitions in together.values()), "begun, and left half done"
    begun = [trial.entry for trial in ended if trial.status != "pruned"]
    for limit, spent in ((recipe.budget.trials, len(begun)), (_own(recipe).trials, begun.count("centroid"))):
        assert limit is None or spent <= limit
    configurations = {(entry, key) for entry, key, _ in together if entry != "fused"}
    assert {entry for entry, _ in configurations} == {"centroid", "wrong"}
    if recipe.goal == "ensemble" and not (recipe.stop_when or recipe.budget.trials or _own(recipe).trials):
        assert len(configurations) == 10
        assert min(sum(entry == name for entry, _ in configurations) for name in ("centroid", "wrong")) >= 3, "a start"


def _own(recipe):
    return recipe.stages[0].entries["centroid"].budget


def _kill_until_done(trained, search, moments):
    code, kills = 9, -1
    while code == 9:
        kills += 1
        trained["dies_at"] = moments.randint(2, 8)
        driver = os.fork()
        if driver == 0:
            try:
                search()
                os._exit(0)
            finally:
                os._exit(1)
        code = os.waitstatus_to_exitcode(os.waitpid(driver, 0)[1])
    trained["dies_at"] = None
    assert code == 0 and kills


@pytest.mark.parametrize("words", RECIPES, ids=lambda words: "-".join(words) or "none")
def test_any_two_words_of_a_recipe_go_together(trained, tmp_path, words):
    _check(trained, tmp_path, words, random.Random(0))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_any_number_of_words_of_a_recipe_go_together(trained, tmp_path, seed):
    moments = random.Random(seed)
    words = {word: moments.choice(values) for word, values in WORDS.items() if moments.random() < 0.5}
    words |= {word: True for word in MORE if moments.random() < 0.5}
    _check(trained, tmp_path, words, moments)


def test_every_two_words_meet():
    for one, other in combinations(WORDS, 2):
        assert {(one in words, other in words) for words in RECIPES} == {(a, b) for a in (0, 1) for b in (0, 1)}
