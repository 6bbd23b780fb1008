"""The nested predictions of an ensemble, kept beside its record."""

import numpy as np
import pytest

import emofuse
from ensembles.fitting import estimate
from ensembles.fitting.estimate import out_of_fold
from ensembles.fitting.fit import factory_of
from ensembles.fitting.outside import find_outside, outside_of
from ensembles.predictions.sets import read_run
from ensembles.records.stored import open_ensemble


@pytest.fixture
def fitted(write_run):
    run = write_run()
    emofuse.open_run(run).fit("greedy", keep_all=True)
    return run, open_ensemble(run, "greedy"), read_run(run).held_out


def _kept(run):
    return run / "ensembles/greedy/.outside.1.safetensors"


def test_the_fit_keeps_what_its_estimate_was_made_of(fitted, monkeypatch):
    run, ensemble, held_out = fitted
    expected = out_of_fold(factory_of(ensemble, held_out), held_out, ensemble.folds, 1, ensemble.seed)
    monkeypatch.setattr(estimate, "out_of_fold", None)  # nothing is fitted again
    found = outside_of(run, ensemble, held_out)
    assert np.array_equal(found, expected.probabilities[0])
    accuracy = (found.argmax(axis=1) == held_out.y).mean()
    assert accuracy == pytest.approx(ensemble.scores["ensemble"]["nested"].accuracy)


def test_a_refit_or_a_new_score_leave_them(fitted):
    run, ensemble, held_out = fitted
    scored = ensemble.with_scores("ensemble", "test", ensemble.scores["ensemble"]["fit"])
    assert find_outside(run, scored, held_out) is not None


def _other_score(ensemble, held_out):
    held_out.P[0, 0] = held_out.P[0, 0][::-1].copy()
    return ensemble, held_out


def _other_settings(ensemble, held_out):
    from dataclasses import replace

    return replace(ensemble, seed=1), held_out


def _fewer(ensemble, held_out):
    return ensemble, held_out.of_members(range(len(held_out.members) - 1))


@pytest.mark.parametrize("change", [_other_score, _other_settings, _fewer])
def test_what_was_made_of_anything_else_is_made_again(fitted, change):
    run, ensemble, held_out = fitted
    ensemble, held_out = change(ensemble, held_out)
    assert find_outside(run, ensemble, held_out) is None
    made = outside_of(run, ensemble, held_out)
    assert np.array_equal(find_outside(run, ensemble, held_out), made)


@pytest.mark.parametrize("at", [0, 30, 150, -9, None])
def test_damage_costs_a_fit(fitted, at):
    run, ensemble, held_out = fitted
    data = bytearray(_kept(run).read_bytes())
    if at is None:
        data = data[:40]
    else:
        data[at] ^= 1
    _kept(run).write_bytes(data)
    assert find_outside(run, ensemble, held_out) is None
    outside_of(run, ensemble, held_out)
    assert find_outside(run, ensemble, held_out) is not None
