"""What members and fusions predict on recordings: means over trials, refits, files of an earlier release."""

import numpy as np
import pytest
from tracks import DIMENSIONS, small_run, write

from ensembles.continuous.evaluate import evaluate
from ensembles.continuous.run import read_continuous_run
from ensembles.continuous.stored import write_continuous
from ensembles.continuous.traces import file_traces, fused_traces, member_traces
from features.errors import EmofuseError, WrongUse
from search.run.continuous_predictions import read_continuous_predictions


@pytest.fixture
def run(tmp_path):
    return small_run(tmp_path)


def test_a_member_predicts_by_the_mean_of_its_trials(run):
    found = member_traces(run, "a", "test")
    own = [trial.tracks[-1] for trial in read_continuous_run(run).trials["a/configa80000"]]
    assert found.dimensions == DIMENSIONS and list(found.traces) == ["r9"]
    time_s, values = found.traces["r9"]
    np.testing.assert_array_equal(time_s, own[0].time_s)
    np.testing.assert_allclose(values, np.mean([track.p for track in own], axis=0))
    held_out = member_traces(run, "b/configb8", "held_out")
    assert list(held_out.traces) == [f"r{n}" for n in range(5)], "recording 5 could not be read"


def test_a_refit_takes_their_place_on_test_recordings(run):
    refit = read_continuous_predictions(write(run, "a", "full", (), 0.01, seed=5)).tracks[-1]
    np.testing.assert_array_equal(member_traces(run, "a", "test").traces["r9"][1], refit.p)
    searched = member_traces(run, "a", "test", searched=True)
    assert np.abs(searched.traces["r9"][1] - refit.p).max() > 0.01
    assert len(member_traces(run, "a", "held_out").traces) == 6
    other = read_continuous_predictions(write(run, "a", "full", (), 0.02, seed=6))
    with pytest.raises(WrongUse, match=r"a was refitted 2 times, for ensembles of several partitions: choose a/afull5"):
        member_traces(run, "a", "test")
    chosen = member_traces(run, f"a/{other.footer.trial_key[:12]}", "test")
    np.testing.assert_array_equal(chosen.traces["r9"][1], other.tracks[-1].p)


def test_mistakes_are_told(run):
    with pytest.raises(
        WrongUse, match="Unknown member 'c': known are a/configa80000, b/configb80000, late/configlate8"
    ):
        member_traces(run, "c", "test")
    with pytest.raises(EmofuseError, match="the predictions of trial gone, a member's, are gone"):
        fused_traces(run, [["gone"]], "test", lambda P, valid: P[0])


def test_a_fusion_shares_out_what_a_member_lacks(run):
    trials = read_continuous_run(run).trials
    keys = [[trial.footer.trial_key for trial in trials[name]] for name in ("a/configa80000", "b/configb80000")]
    seen = []

    def fuse(P, valid):
        seen.append((P.shape, valid.all(axis=(1, 2)).tolist()))
        return P[0]

    found = fused_traces(run, keys, "held_out", fuse)
    assert list(found) == [f"r{n}" for n in range(6)]
    assert seen[0] == ((2, 40, 2), [True, True]) and seen[5] == ((2, 45, 2), [True, False])


def test_a_file_of_an_earlier_release_is_read(run, tmp_path):
    result = evaluate(read_continuous_run(run).recordings, 3)
    write_continuous(result, tmp_path / "fusion.json")
    found = file_traces(run, tmp_path / "fusion.json", "test")
    P = np.stack([member_traces(run, name, "test").traces["r9"][1] for name in result.members])
    np.testing.assert_allclose(found.traces["r9"][1], result.predict(P))
