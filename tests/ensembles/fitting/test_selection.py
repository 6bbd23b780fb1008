import re
from dataclasses import replace

import numpy as np
import pytest

from ensembles.fitting.selection import NO_SELECTION, Selected, Selection, candidates, make_selection, restricted
from ensembles.fusion import BestSingle, GreedySelection, UniformAverage
from ensembles.fusion.base import Problem
from features.errors import WrongUse


def problem_of(s):
    return Problem(s.P, s.y, s.valid, "accuracy", "share")


def scores(s):
    return (s.P.argmax(2) == s.y).mean(1)


def test_best_of_all_and_of_each_entry(simulate):
    s = simulate(M=8, N=300)
    entries = list("aaaabbbb")
    order = np.argsort(-scores(s), kind="stable").tolist()
    chosen = candidates(problem_of(s), entries, Selection(majority=False, duplicate=None, per_entry=None, top=3))
    assert chosen.kept == tuple(sorted(order[:3]))
    chosen = candidates(problem_of(s), entries, Selection(majority=False, duplicate=None, per_entry=1, top=None))
    assert set(chosen.kept) == {next(m for m in order if entries[m] == e) for e in "ab"}
    assert set(chosen.dropped.values()) == {"not among the best 1 of a", "not among the best 1 of b"}
    chosen = candidates(problem_of(s), entries, Selection(entries=("b",), majority=False))
    assert set(chosen.kept) <= {4, 5, 6, 7} and chosen.dropped[0] == "not among the chosen entries"
    assert candidates(problem_of(s), entries, NO_SELECTION).kept == tuple(range(8))


def test_near_duplicates_and_dead_weight_go(simulate):
    s = simulate(M=3, N=200, skill=(1.0, 1.5))
    s.P[1] = s.P[0] * 0.999 + 0.001 / 3
    s.P[2] = [0.2, 0.5, 0.3]
    chosen = candidates(problem_of(s), list("aaa"), Selection())
    assert len(chosen.kept) == 1 and chosen.kept[0] in (0, 1)
    assert sorted(chosen.dropped.values()) == [
        f"nearly the same as member {chosen.kept[0]}",
        "no better than always naming the commonest class",
    ]


def test_a_member_that_is_too_sure_of_itself_is_no_dead_weight_by_its_log_loss(simulate):
    s = simulate(M=3, N=300, skill=(1.5, 1.5))
    s.P[1] = np.eye(3)[s.P[1].argmax(axis=1)]
    s.P[2] = 1 / 3
    problem = Problem(s.P, s.y, np.ones((3, 300), bool), "log_loss", "share")
    assert candidates(problem, ["a", "b", "c"], Selection()).kept == (0, 1)


def test_the_best_stays_when_none_is_any_good(simulate):
    s = simulate(M=2)
    s.P[:] = 1 / 3
    assert candidates(problem_of(s), list("ab"), Selection()).kept == (0,)


def test_unknown_entry(simulate):
    s = simulate(M=2)
    with pytest.raises(WrongUse, match=r"Unknown entry 'svn': known are lstm, svm. Did you mean 'svm'\?"):
        candidates(problem_of(s), ["svm", "lstm"], Selection(entries=("svn",)))


def test_selected_fusion_is_the_fusion_of_the_kept(simulate):
    s = simulate(M=6, lacking=0.2)
    fusion = Selected(GreedySelection(), list("aabbcc"), Selection(per_entry=1)).fit(s.P, s.y, s.valid)
    kept = list(fusion.candidates_.kept)
    alone = GreedySelection().fit(s.P[kept], s.y, s.valid[kept])
    assert (fusion.weights_[kept] == alone.weights_).all() and fusion.weights_.sum() == pytest.approx(3)
    assert fusion.fit_score_ == alone.fit_score_
    assert (fusion.predict_proba(s.P, s.valid) == alone.predict_proba(s.P[kept], s.valid[kept])).all()
    single = Selected(UniformAverage(), list("aabbcc"), Selection(top=1)).fit(s.P, s.y, s.valid)
    best = BestSingle().fit(s.P, s.y, s.valid)
    assert (single.weights_ == best.weights_).all()


def test_members_are_restricted_by_their_hyperparameters():
    known = {"a/1": {"lr": 0.1, "deep": True}, "a/2": {"lr": 0.2, "deep": True}, "b/3": {"lr": 0.1}}
    assert restricted(Selection(), {}, known) == Selection()
    chosen = restricted(Selection(majority=False, duplicate=None), {"lr": 0.1}, known)
    assert chosen.only == ("a/1", "b/3")
    assert restricted(Selection(), {"lr": 0.1, "deep": True}, known).only == ("a/1",)
    P = np.eye(2, dtype=np.float32)[np.arange(6) % 2] * 0.6 + 0.2
    problem = Problem(np.stack([P, P, P]), np.arange(6) % 2, np.ones((3, 6), bool), "accuracy", "share")
    found = candidates(problem, list(known), chosen)
    assert found.kept == (0, 2) and found.dropped == {1: "not among the chosen entries"}
    with pytest.raises(WrongUse, match=r"No member has lr=0\.3: lr is 0\.1, 0\.2"):
        restricted(Selection(), {"lr": 0.3}, known)


def test_members_join_from_the_best_on_as_long_as_their_time_lasts(simulate):
    s = simulate(M=4, N=300)
    best, second, third, fourth = np.argsort(-scores(s), kind="stable").tolist()
    took = dict(zip([f"a/{m}" for m in (best, second, third, fourth)], (0.003, 0.002, 0.0015, 0.0005), strict=True))
    names = [f"a/{m}" for m in range(4)]
    bounded = replace(NO_SELECTION, latency_ms=5, cost_s=took)
    assert set(candidates(problem_of(s), names, bounded).kept) == {best, second}
    chosen = candidates(problem_of(s), names, replace(bounded, latency_ms=4))
    assert set(chosen.kept) == {best, fourth}
    assert chosen.dropped[second] == "with it, a clip would take 5 ms, more than 4"
    told = f"No member takes 0.4 ms per clip or less; the fastest, a/{fourth}, takes 0.5 ms."
    with pytest.raises(WrongUse, match=re.escape(told)):
        candidates(problem_of(s), names, replace(bounded, latency_ms=0.4))


def test_named_members_have_no_limit():
    with pytest.raises(WrongUse, match="leave out --member or --latency-ms"):
        make_selection(members=["a"], latency_ms=3.0)
