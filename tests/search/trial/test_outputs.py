"""A trained model that gives NaN or infinity has diverged: a recorded failure, and nothing of it is kept."""

from dataclasses import replace

import numpy as np
import pytest
from small_world import CENTROID, FAMILIES, Centroid

from search.study.plan import entry_spec
from search.trial.attempts import attempt_trial

POINT = {"scale": 1.0, "steps": 2, "kind": "a", "n": 4}


class OfTestClips(Centroid):
    """Fine on the clips that training sees, NaN beyond."""

    def predict(self, examples):
        p = super().predict(examples)
        return p * np.nan if "test" in examples.ids[0] else p


class OfEncodings(Centroid):
    def encode(self, examples):
        return super().encode(examples) * np.inf


class OfHeldOut(Centroid):
    def predict(self, examples):
        p = super().predict(examples)
        p[-1] = np.nan
        return p


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (OfTestClips, "The trained model's scores of clip 'clips-test-0' are not finite (nan)"),
        (OfEncodings, "The trained model's encodings of clip 'clips-train-0' are not finite (inf)"),
        (OfHeldOut, "Training diverged: the scores of 1 of 8 held-out clips are not finite."),
    ],
)
def test_the_trial_fails_as_diverged_and_writes_no_predictions(small_run, monkeypatch, model, told):
    run = small_run()
    monkeypatch.setitem(FAMILIES, "centroid", replace(CENTROID, build=model))
    spec = replace(entry_spec(run, *run.recipe.entry("centroid")).at(POINT, "train"), keep_encodings=True)
    result = attempt_trial(spec, report=lambda epoch, metrics: None)
    assert (result.status, result.kind) == ("failed", "diverged") and result.reason.startswith(told)
    assert not list((run.path / "predictions").rglob("*.parquet"))
    assert not list((run.path / "models").glob("*"))
