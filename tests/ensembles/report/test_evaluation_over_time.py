"""`emofuse evaluate` of a bundle of continuous emotion: held against numbers that are computed otherwise."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import pearsonr

from ensembles.bundle.results import TracePrediction
from ensembles.cli.command import main
from ensembles.continuous.concordance import mean_concordance_interval
from ensembles.continuous.measures import measured
from features.annotations import Annotations
from features.clips import Clip, ClipTable, read_clips, write_clips

DIMENSIONS = ("arousal", "valence")


def made(n):
    """Labels (T, 2) every 0.1 s, of which some are missing, and what a stand-in for a bundle says every 0.1 s."""
    rng = np.random.default_rng(n)
    y = np.cumsum(rng.normal(size=(50 + 5 * n, 2)), axis=0) / 5
    p = 0.7 * y + 0.3 + 0.3 * rng.normal(size=y.shape)
    y[:4, 1] = np.nan
    y[7] = np.nan
    return y, p[: len(y) - 3]  # a bundle's predictions may end before the labels do


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Nine recordings of three speakers in test and three in val; one of test can't be read, one is unlike."""
    splits = ["val", *["test"] * 3] * 3
    clips = [Clip(f"r{n}", f"r{n}.mp4", split, None, f"speaker{n // 4}") for n, split in enumerate(splits)]
    series = {f"r{n}": (np.arange(len(made(n)[0])) / 10, made(n)[0]) for n in range(12)}
    path = tmp_path / "clips.parquet"
    write_clips(ClipTable(tuple(clips), tmp_path, Annotations(DIMENSIONS, series)), path)
    ensemble = SimpleNamespace(over_time=object(), outputs=DIMENSIONS, classes=())
    bundle = SimpleNamespace(imported={}, folder=tmp_path / "b", ensemble=ensemble)

    def predict_many(opened, asked, **how):
        for clip in asked:
            n = int(clip.name[1:])
            p = made(n)[1]
            if n == 1:
                yield clip, TracePrediction(clip.name, DIMENSIONS, p[:0, 0], p[:0], reason="no_face: no face")
                continue
            far = {"faces": 2.0} if n == 2 else {}
            yield clip, TracePrediction(clip.name, DIMENSIONS, np.arange(len(p)) / 10, p, unlike=far)

    monkeypatch.setattr("ensembles.bundle.bundle.open_bundle", lambda folder: bundle)
    monkeypatch.setattr("ensembles.applying.given_clips.predict_many", predict_many)
    return path


def expected(numbers):
    """By dimension Lin's coefficient, Pearson's and the root of the mean square, of recordings one after the other."""
    found = {}
    for d, name in enumerate(DIMENSIONS):
        pairs = []
        for n in numbers:
            y, p = made(n)
            p = np.concatenate([p, np.repeat(p[-1:], 3, axis=0)])  # the last prediction goes on, as in AVEC
            pairs += [(a, b) for a, b in zip(y[:, d], p[:, d], strict=True) if not np.isnan(a)]
        y, p = np.array(pairs).T
        r, (y_mean, p_mean) = pearsonr(y, p)[0], (y.mean(), p.mean())
        ccc = 2 * r * y.std() * p.std() / (y.std() ** 2 + p.std() ** 2 + (y_mean - p_mean) ** 2)
        found[name] = {"ccc": ccc, "pearson": r, "rmse": np.linalg.norm(y - p) / len(y) ** 0.5}
    return found


def close(found, wanted):
    for name, own in wanted.items():
        for measure, value in own.items():
            one = found[name][measure]
            assert (one["value"] if isinstance(one, dict) else one) == pytest.approx(value, abs=1e-9)


def test_the_numbers_are_those_of_the_definitions(table, capsys):
    assert main(["evaluate", "bundle", str(table), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["scored"] == "9 of 12 recordings (split test)" and (found["recordings"], found["groups"]) == (8, 3)
    scored = [2, 3, 5, 6, 7, 9, 10, 11]
    close(found["by_dimension"], expected(scored))
    mean = {m: np.mean([own[m] for own in expected(scored).values()]) for m in ("ccc", "pearson", "rmse")}
    close(found, {"mean": mean})
    for n in scored:
        close(found["by_recording"][f"r{n}"], expected([n]))
    close(found["by_group"]["speaker1"], expected([5, 6, 7]))
    assert found["labels"] == sum(len(made(n)[0]) - 1 for n in scored), "one moment of each has no label at all"
    assert found["without"] == {"r1": "no_face: no face"} and found["unlike"] == ["r2"] and found["unlabelled"] == []
    for own in (*found["by_dimension"].values(), found["mean"]):
        assert all(one["interval"]["low"] <= one["value"] <= one["interval"]["high"] for one in own.values())


def test_intervals_are_drawn_over_groups():
    rng = np.random.default_rng(0)
    Y = np.cumsum(rng.normal(size=(300, 2)), axis=0)
    P, groups = Y + 3 * rng.normal(size=Y.shape), np.repeat(list("abcdef"), 50)
    found = measured(Y, P, groups, DIMENSIONS, seed=5)
    assert found.mean["ccc"].interval == mean_concordance_interval(Y, P, groups, seed=5)
    drawn = np.random.default_rng(5).multinomial(6, np.full(6, 1 / 6), size=10_000)[:400]
    values = []
    for counts in drawn:
        rows = np.concatenate([np.tile(np.flatnonzero(groups == g), n) for g, n in zip("abcdef", counts, strict=True)])
        rows = rows.astype(int)
        error = np.sqrt(np.mean((Y[rows, 0] - P[rows, 0]) ** 2))
        values.append((pearsonr(Y[rows, 0], P[rows, 0])[0], error))
    for measure, own in zip(("pearson", "rmse"), np.array(values).T, strict=True):
        one = found.by_dimension["arousal"][measure].interval
        low, high = np.percentile(own, (2.5, 97.5))
        assert (one.low, one.high) == pytest.approx((low, high), rel=0.05)
    assert measured(Y, P, np.repeat("a", 300), DIMENSIONS).mean["ccc"].interval is None
    Y[groups != "a", 1] = np.nan
    alone = measured(Y, P, groups, DIMENSIONS)
    assert alone.by_dimension["valence"]["ccc"].interval is None and alone.by_dimension["arousal"]["ccc"].interval


def test_what_does_not_vary_agrees_in_nothing():
    Y = np.linspace(0, 1, 20)[:, None]
    found = measured(Y, np.full_like(Y, 0.5), np.repeat(["a", "b"], 10), ["arousal"]).by_dimension["arousal"]
    assert (found["ccc"].value, found["pearson"].value) == (0.0, 0.0) and found["rmse"].value == pytest.approx(
        0.3035, abs=1e-4
    )


def test_tables_and_a_page_tell_it(table, tmp_path, capsys):
    out = tmp_path / "e.html"
    assert main(["evaluate", "bundle", str(table), "--split", "all", "-o", str(out)]) == 0
    told, page = capsys.readouterr().out, out.read_text(encoding="utf-8")
    close_to = f"{expected([n for n in range(12) if n != 1])['valence']['ccc']:.3f} ["
    assert "On 12 recordings, 3 groups" in told and close_to in told and "CCC of group" in told
    assert max(len(line) for line in told.splitlines() if "could not" not in line) <= 80
    assert "1 recording is unlike those that it learned from, such as r2." in told
    assert "1 recording could not be scored and count nowhere, such as r1: no_face: no face" in told
    for text in (
        close_to,
        "Labels and predictions over time",
        "The first 8 of 11 recordings",
        "Each recording",
        "RMSE",
    ):
        assert text in page
    assert page.count('data-chart="trace-') == 16 and f"emofuse evaluate bundle {table} -o" in page


def test_what_can_not_be_scored_is_told(table, capsys):
    assert main(["evaluate", "bundle", str(table), "--split", "train"]) == 1
    told = "no recording of split train with labels over time; it holds 0 train, 3 val, 9 test"
    assert told in capsys.readouterr().err
    known = read_clips(table)
    liking = replace(known.annotations, dimensions=("liking", "valence"))
    write_clips(replace(known, annotations=liking), table)
    assert main(["evaluate", "bundle", str(table)]) == 0
    assert "Nothing is labelled with arousal, which the bundle tells too." in capsys.readouterr().out
    write_clips(replace(known, annotations=replace(known.annotations, dimensions=("liking", "dominance"))), table)
    assert main(["evaluate", "bundle", str(table)]) == 2
    assert "tells arousal, valence over time, but the recordings are labelled with liking" in capsys.readouterr().err
    (table.parent / "annotations.parquet").unlink()
    assert main(["evaluate", "bundle", str(table)]) == 2
    assert "no labels over time beside the clip table (annotations.parquet)" in capsys.readouterr().err
