"""Configurations trained with several seeds, and compared on one partition alone."""

from dataclasses import replace

import pytest
import yaml
from small_world import corpus, message, recipe_file

from features.errors import WrongUse
from search.cluster.workers import Workers
from search.recipe.reading import read_recipe
from search.run.ended import Ended
from search.run.ending import Ending
from search.run.folder import RunFolder, study_key
from search.run.layout import Layout
from search.run.predictions import prediction_files, read_footer
from search.runner import run_search
from search.sampling.journal import open_journal
from search.study.plan import entry_spec, members
from search.study.queue import Queue
from search.study.turns import EqualTurns
from search.watch.status import means, read_status


def entries(**entry):
    return [{"stage": "clips", "entries": {"centroid": {"configurations": 2, **entry}}}]


def search(folder, **changes):
    clips = folder / "clips.parquet"
    recipe = read_recipe(recipe_file(folder, partitions=["train", "swap"], **changes))
    run_search(
        recipe,
        clips=clips if clips.exists() else corpus(folder),
        store=folder / "store",
        out=folder / "run",
        workers=Workers(in_process=True),
    )
    return [read_footer(path) for path in prediction_files(folder / "run")]


def test_further_seeds_are_further_trials_and_the_first_keeps_its_keys(tmp_path, world):
    alone = {f.trial_key: f for f in search(tmp_path)}
    every = {f.trial_key: f for f in search(tmp_path, seeds=3)}
    assert len(alone) == 4 and len(every) == 12
    assert alone.items() <= every.items()
    of_one = [f for f in every.values() if f.config_key == min(f.config_key for f in every.values())]
    assert sorted((f.partition, f.repeat) for f in of_one) == [(p, n) for p in ("swap", "train") for n in range(3)]
    assert len({f.seed for f in of_one}) == 3
    status = status_of(tmp_path)
    assert (status.trials, status.finished, status.left) == (12, 12, 0)


def status_of(folder):
    (entry,) = read_status(Layout(folder / "run")).entries
    return entry


def test_the_best_configuration_alone_may_have_further_seeds(tmp_path, world):
    found = search(tmp_path, seeds={"best": 3})
    further = [f for f in found if f.repeat]
    assert len(found) == 4 + 2 * 2 and len({f.config_key for f in further}) == 1
    first = {f.config_key: 0.0 for f in found}
    for f in found:
        first[f.config_key] += 0 if f.repeat else f.metrics["accuracy"]
    assert first[further[0].config_key] == max(first.values())
    assert status_of(tmp_path).left == 0
    assert len(search(tmp_path, seeds={"best": 3})) == 8  # nothing is trained twice


def test_an_entry_may_have_other_seeds_than_the_recipe(tmp_path, world):
    assert len(search(tmp_path, seeds=2, stages=entries(seeds=1))) == 4


def test_a_study_hears_the_mean_over_seeds(tmp_path, world):
    found = search(tmp_path, seeds=2)
    own = [f for f in found if f.config_key == found[0].config_key]
    told = {t.value for t in studied(tmp_path)}
    assert any(value == pytest.approx(sum(f.metrics["accuracy"] for f in own) / 4) for value in told)


def studied(folder):
    storage = open_journal(folder / "run" / "study.journal")
    return [trial for study in storage.get_all_studies() for trial in storage.get_all_trials(study._study_id)]


def test_a_configuration_may_be_chosen_on_its_own_partition(tmp_path, world):
    found = search(tmp_path, stages=entries(choose_on="train", configurations=3))
    on_train = sorted(f.metrics["accuracy"] for f in found if f.partition == "train")
    assert sorted(trial.value for trial in studied(tmp_path)) == pytest.approx(on_train)
    assert status_of(tmp_path).best == pytest.approx(on_train[-1])


def test_a_fusion_chosen_on_a_partition_reads_the_members_that_are_best_there(tmp_path, world):
    stages = [
        *entries(configurations=6, published=False),
        {
            "stage": "fusion",
            "entries": {
                f"on_{p}": {"family": "fused", "configurations": 1, "inputs": {"members": ["centroid"]}, "choose_on": p}
                for p in ("train", "swap")
            },
        },
    ]
    found = search(tmp_path, stages=stages)
    run = RunFolder.open(tmp_path / "run")
    for partition in ("train", "swap"):
        ((_, chosen),) = members(run, run.recipe.entry(f"on_{partition}")[1]).values()
        own = [f for f in found if f.entry == "centroid" and f.partition == partition]
        best = min(own, key=lambda f: (-f.metrics["accuracy"], f.metrics["log_loss"]))
        assert chosen[partition].trial_key == best.trial_key


def test_another_way_to_choose_starts_another_study(tmp_path, world):
    recipe = read_recipe(recipe_file(tmp_path))
    _, entry = recipe.entry("centroid")
    assert study_key(entry, recipe) != study_key(entry.model_copy(update={"choose_on": "train"}), recipe)


def test_means_are_over_seeds_then_partitions():
    def ended(key, partition, value):
        return Ended(key, "c", "e", partition, "finished", value, 1, 1.0, "")

    trials = [ended("1", "train", 0.2), ended("2", "train", 0.4), ended("3", "swap", 0.9)]
    assert means(trials, ("train", "swap")) == {"c": pytest.approx(0.6)}
    assert means(trials, ("train",)) == {"c": pytest.approx(0.3)}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seeds": 0}, "expected a number of seeds of at least 1, or {best: n} for each entry's best, but got 0."),
        ({"seeds": {"most": 3}}, "expected a number of seeds"),
        ({"stages": entries(choose_on="swap")}, "choose_on: Unknown partition 'swap'"),
        (
            {
                "stages": [
                    {"stage": "backbone", "entries": {"toy_cnn": {"configurations": 1, "seeds": 2}}},
                    *entries(),
                ]
            },
            "seeds: a backbone is trained once, on stills; leave it out.",
        ),
    ],
)
def test_mistakes_are_told(tmp_path, world, changes, said):
    assert said in message(read_recipe, recipe_file(tmp_path, **changes), error=WrongUse)


def test_a_recipe_without_seeds_is_stored_as_before(tmp_path, world):
    search(tmp_path)
    assert "seeds" not in yaml.safe_load((tmp_path / "run" / "recipe.yaml").read_text())


def test_what_happens_elsewhere_does_not_touch_the_partition_that_is_chosen_on(small_run):
    run = small_run(partitions=["train", "swap"])
    spec = entry_spec(run, *run.recipe.entry("centroid")).at({"scale": 1.0, "steps": 2, "kind": "a", "n": 4}, "")
    told = {}

    class Study:
        entry, exhausted, asked, replaying, begun = "centroid", False, 0, False, False

        def ask(self, worths=None):
            self.asked += 1
            self.exhausted = True
            return (0, {}) if self.asked == 1 else None

        def tell(self, number, ending):
            told[number] = ending

    def specs(entry, point):
        return [replace(spec, partition=p) for p in ("swap", "train")]

    studies = [Study()]
    queue = Queue(
        studies, EqualTurns(studies), specs, lambda _: None, lambda *_: None, lambda _: None, {"centroid": "train"}
    )
    swap, train = queue.next(), queue.peek()
    queue.end(swap, Ending("pruned", 0.1, 3))
    assert queue.next() == train and not queue.pruned(train)
    queue.end(train, Ending("finished", 0.7, 9))
    assert queue.next() == swap  # handed out again: an ensemble takes a configuration as a whole
    queue.end(swap, Ending("finished", 0.2, 5))
    assert told[0] == Ending("finished", 0.7, 9)
