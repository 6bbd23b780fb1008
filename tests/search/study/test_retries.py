"""Failed trials are tried again under their own keys, as new trials of the study."""

import json
from dataclasses import replace

import optuna
import pytest
from small_world import CENTROID, FAMILIES, Centroid, message

import emofuse
from features.errors import Diverged, WrongUse
from search.cluster.workers import Workers
from search.run.predictions import prediction_files
from search.runner import run_search
from search.sampling.journal import open_journal
from search.study.retries import failed_outcomes


@pytest.fixture
def search(small_run):
    """Does the search over two configurations on two partitions; returns its status."""
    run = small_run(partitions=["train", "swap"])

    def go(**options):
        return run_search(
            run.recipe, clips=run.clips, store=run.store, out=run.path, workers=Workers(in_process=True), **options
        )

    go.run = run
    return go


@pytest.fixture
def broken(search, monkeypatch):
    """A run whose first configuration diverged on `swap` and failed on `train`."""

    class Broken(Centroid):
        def fit(self, train, held_out, **options):
            if self.hyperparameters["scale"] == 1.0:
                raise Diverged("loss nan") if "val" in train.ids[0] else ValueError("no")
            return super().fit(train, held_out, **options)

    monkeypatch.setitem(FAMILIES, "centroid", replace(CENTROID, build=Broken))
    search()
    monkeypatch.setitem(FAMILIES, "centroid", CENTROID)
    return search.run


def _study(run):
    (name,) = optuna.get_all_study_names(open_journal(run.journal))
    return [
        (trial.state.name, trial.user_attrs.get("retry_of"))
        for trial in optuna.load_study(study_name=name, storage=open_journal(run.journal)).trials
    ]


def test_a_retry_is_a_new_trial_of_the_study(broken, search, capsys):
    assert _study(broken) == [("FAIL", None), ("COMPLETE", None)]
    assert emofuse.main(["search", "status", str(broken.path)]) == 0
    assert "Failed: 1 error, 1 diverged; reasons and tracebacks lie in trials/" in capsys.readouterr().out
    assert emofuse.main(["search", "status", str(broken.path), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)["failures"]
    assert {(row["kind"], row["reason"]) for row in shown} == {("diverged", "loss nan"), ("error", "ValueError: no")}
    assert all((broken.path / row["traceback"]).exists() for row in shown)
    failed, kept = {o.trial_key for o in broken.outcomes()}, set(prediction_files(broken.path))
    assert emofuse.main(["search", "retry", str(broken.path)]) == 0
    assert "Queued again: 2 trials (1 error, 1 diverged)" in capsys.readouterr().out
    assert _study(broken) == [("FAIL", None), ("COMPLETE", None), ("RUNNING", 0)]
    status = search()
    assert (status.entries[0].finished, status.entries[0].failed, status.left) == (4, 0, 0)
    assert {path.stem for path in set(prediction_files(broken.path)) - kept} == failed
    assert _study(broken) == [("FAIL", None), ("COMPLETE", None), ("COMPLETE", 0)]
    search()
    assert len(_study(broken)) == 3
    assert emofuse.main(["search", "retry", str(broken.path)]) == 0
    assert capsys.readouterr().out.startswith("No failed trial is queued again.")


def test_one_that_fails_again_stays_failed(broken, search, monkeypatch):
    monkeypatch.setitem(FAMILIES, "centroid", replace(CENTROID, build=lambda hp, context: 1 / 0))
    assert search(retry_failed=True).entries[0].failed == 2
    assert search().entries[0].failed == 2
    assert _study(broken) == [("FAIL", None), ("COMPLETE", None), ("FAIL", 0)]


def test_only_what_was_asked_for(broken, search):
    (diverged,) = failed_outcomes(broken, kinds=["diverged"])
    assert diverged.partition == "swap"
    assert failed_outcomes(broken, [diverged.trial_key[:8]]) == [diverged]
    assert len(failed_outcomes(broken, [diverged.config_key, "centroid"])) == 2
    assert failed_outcomes(broken, ["centroid"], ["hung"]) == []
    emofuse.main(["search", "retry", str(broken.path), "--kind", "diverged"])
    status = search()
    assert (status.entries[0].finished, status.entries[0].failed) == (3, 1)
    assert message(failed_outcomes, broken, ["centroit"], error=WrongUse).endswith(
        "expected an entry (centroid) or the key of a failed trial (its first 6 characters or more, see `emofuse "
        "search status --json`), but got 'centroit'."
    )
    assert "Did you mean 'hung'?" in message(failed_outcomes, broken, kinds=["hang"], error=WrongUse)


def test_a_configuration_that_the_recipe_asks_for_no_more(broken, capsys):
    broken.journal.unlink()
    emofuse.main(["search", "retry", str(broken.path)])
    assert "2 stay failed: the recipe asks for their configurations no more." in capsys.readouterr().out
    assert len(list(broken.outcomes())) == 2
