"""The benchmark of the fusion methods and its experiment, on made-up predictions."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import fusion_methods

    return fusion_methods


def made(benchmark, name, N):
    """The first pair of a simulation, with so many clips to fit on and to score on."""
    return [clips.clips(np.arange(N)) for clips in next(iter(benchmark.simulated(name, 1)))]


@pytest.mark.parametrize("metric", ["accuracy", "log_loss"])
def test_tables_and_summary(benchmark, metric, monkeypatch, tmp_path, capsys):
    pairs = [made(benchmark, "uneven_5", 30)] * 2
    monkeypatch.setattr(benchmark, "simulated", lambda name, repeats: pairs[:repeats])
    kept = tmp_path / "kept.json"
    methods = ["best", "uniform", "subsets"]
    monkeypatch.setattr(
        sys, "argv", ["", "--only", "uneven_5", "--metric", metric, "--json", str(kept), "--methods", *methods]
    )
    benchmark.main()
    shown = capsys.readouterr().out
    assert "uneven_5: M=5, C=7, 30 clips to fit on, 30 to score on, 2 times" in shown
    assert f"{metric}, fit / nested / held out" in shown and "intervals that hold the held-out score" in shown
    done = json.loads(kept.read_text())["uneven_5"]
    assert list(done) == [name for name in methods if name != "subsets" or metric == "accuracy"], (
        "subsets refuse log-loss"
    )
    benchmark.main()
    assert " in 0 s" not in capsys.readouterr().out, "what the file holds is not measured again"


def test_the_gate_weighs_members_by_how_sure_they_are_of_a_clip(benchmark):
    from gate import ConfidenceGate

    rng = np.random.default_rng(0)
    y, sure = rng.integers(0, 4, 600), rng.integers(0, 2, 600).astype(bool)
    logits = rng.normal(0, 0.7, (2, 600, 4))
    logits[0, sure, y[sure]] += 4
    logits[1, ~sure, y[~sure]] += 4
    P = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    gate = ConfidenceGate().fit(P[:, :300], y[:300])
    assert (gate.predict_proba(P[:, 300:]).argmax(axis=1) == y[300:]).mean() > 0.9
    np.testing.assert_allclose(gate.predict_proba(P[:, 300:]).sum(axis=1), 1)
