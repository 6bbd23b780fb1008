"""What is said and asked where an ensemble is no better than its best single member."""

from dataclasses import replace

import numpy as np
import pytest

from ensembles.fitting.advice import advice, checked
from ensembles.fitting.fit import fit_ensemble
from ensembles.fitting.options import FitOptions
from ensembles.fitting.selection import NO_SELECTION
from features.errors import WrongUse


@pytest.fixture
def losing(write_run):
    """A plain average whose best single member is as good."""
    e = fit_ensemble(write_run(), FitOptions("uniform", name="mine", selection=NO_SELECTION))
    scores = {**e.scores, "best_single": {**e.scores["best_single"], "nested": e.scores["ensemble"]["nested"]}}
    return replace(e, scores=scores)


def test_it_is_told_and_asked_for(losing):
    assert losing.verdict.startswith("The ensemble does not beat the best single member")
    fit = "emofuse ensemble fit runs/a --method best --name mine-single"
    assert f"Take that member alone ({fit})" in advice(losing, "runs/a")
    assert checked(losing, "runs/a") is losing  # that it isn't refitted yet is told later
    with pytest.raises(WrongUse, match="--single exports the best single member, --anyway the ensemble: give one"):
        checked(losing, "runs/a", anyway=True, single=True)
    refitted = replace(losing, members=tuple(replace(member, refit="k") for member in losing.members))
    assert "emofuse ensemble export runs/a mine --single -o bundle" in advice(refitted, "runs/a")
    with pytest.raises(WrongUse, match=r"'mine' is no better than its best single member, e\d/.*with --anyway"):
        checked(refitted, "runs/a")
    assert checked(refitted, "runs/a", anyway=True) is refitted


def test_the_single_member_alone(losing):
    one = checked(losing, "runs/a", single=True)
    assert [member.name for member in one.members] == [losing.best_single] and (one.weights == np.ones((1, 3))).all()
    assert one.scores["ensemble"] == losing.scores["best_single"] and one.name == "mine-single"
    assert advice(one, "runs/a") == "" and checked(one, "runs/a") is one
    others = tuple(member for member in losing.members if member.name != losing.best_single)
    with pytest.raises(WrongUse, match="is no member of ensemble 'mine', so it was not refitted; fit it alone"):
        checked(replace(losing, members=others, weights=np.full((3, 3), 1 / 3)), "runs/a", single=True)


def test_nothing_is_said_of_an_ensemble_that_is_ahead(losing):
    nested = losing.scores["ensemble"]["nested"]
    worse = replace(nested, metrics={**nested.metrics, "accuracy": nested.accuracy - 0.1})
    ahead = replace(losing, scores={**losing.scores, "best_single": {"nested": worse}})
    assert advice(ahead, "runs/a") == "" and checked(ahead, "runs/a") is ahead
    unknown = replace(losing, scores={who: {"fit": its["fit"]} for who, its in losing.scores.items()})
    assert advice(unknown, "runs/a") == "" and checked(unknown, "runs/a") is unknown
