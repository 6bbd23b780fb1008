"""The continuous predictions of a run folder, fused and listed."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import emofuse
from ensembles.cli.app import ensemble_app
from ensembles.continuous.evaluate import evaluate
from ensembles.continuous.run import continuous_entries, read_continuous_run
from features.errors import EmofuseError, WrongUse
from models.concordance import concordance
from search.run.continuous_predictions import ContinuousPredictions, Track, write_continuous_predictions
from search.run.predictions import FOOTER, Footer

DIMENSIONS = ("arousal", "valence")
NOISE = {"a": 0.2, "b": 0.4}


def track(n, role, noise, rng, valid=True):
    own = np.random.default_rng(n)
    y = np.cumsum(own.normal(size=(40 + n, 2)), 0) / 5
    p = (y + noise * rng.normal(size=y.shape)).astype(np.float32)
    labels = np.where(np.arange(len(y))[:, None] < 3, np.nan, y)  # the first moments are not labelled
    return Track(f"r{n}", f"g{n}", "train", role, valid, np.arange(len(y)) / 10, labels, p)


def write(run, entry, partition, held_out, noise, annotations="x", seed=0):
    rng = np.random.default_rng(seed)
    key = f"{entry}{partition}{seed}".replace("-", "").ljust(64, "0")
    footer = Footer(
        key,
        f"config{entry}".ljust(64, "0"),
        "conv3d",
        entry,
        {"lr": 0.01},
        partition,
        (),
        0,
        1,
        1,
        {"ccc": 0.5},
        dimensions=DIMENSIONS,
        annotations=annotations,
    )
    tracks = [track(n, "held_out" if n in held_out else "fit", noise, rng, n != 5 or entry == "a") for n in range(6)]
    tracks.append(track(9, "test", noise, rng))
    return write_continuous_predictions(run, ContinuousPredictions(footer, tuple(tracks)))


@pytest.fixture
def run(tmp_path):
    for entry, noise in NOISE.items():
        write(tmp_path, entry, "fold-0-of-2", (0, 1, 2), noise)
        write(tmp_path, entry, "fold-1-of-2", (3, 4, 5), noise, seed=1)
    write(tmp_path, "late", "fold-0-of-2", (0, 1, 2), 0.1)
    return tmp_path


def test_members_are_those_of_all_partitions(run):
    found = read_continuous_run(run, test=True)
    assert continuous_entries(run) == ({"a", "b", "late"}, set())
    assert [member.footer.entry for member in found.members] == ["a", "b"], "better first"
    assert list(found.left_out.values()) == ["no trial on partition fold-1-of-2"]
    recordings = found.recordings
    assert set(recordings.recording) == {f"r{n}" for n in range(6)} and set(recordings.group) == {
        f"g{n}" for n in range(6)
    }
    assert np.isfinite(recordings.Y).all() and len(recordings.Y) == sum(37 + n for n in range(6))
    missing = ~recordings.valid[1].all(axis=1)
    assert set(recordings.recording[missing]) == {"r5"} and found.members[1].coverage == pytest.approx(5 / 6)
    for member, p in zip(found.members, recordings.P, strict=True):
        if member.coverage == 1:
            expected = [concordance(recordings.Y[:, d], p[:, d]) for d in range(2)]
            assert [member.metrics["ccc_arousal"], member.metrics["ccc_valence"]] == pytest.approx(expected, abs=1e-6)
        assert set(member.test) == {"ccc", "ccc_arousal", "ccc_valence", "mse"}


def test_partitions_can_be_chosen(run):
    found = read_continuous_run(run, ["fold-0-of-2"])
    assert [member.footer.entry for member in found.members] == ["late", "a", "b"]
    with pytest.raises(WrongUse, match="no trial was made on partition 'swap'; there are fold-0-of-2, fold-1-of-2"):
        read_continuous_run(run, ["swap"])


def test_other_annotations_do_not_mix(run):
    write(run, "old", "fold-0-of-2", (0, 1, 2), 0.1, annotations="y")
    with pytest.raises(EmofuseError, match="trials of a and old learnt different annotations"):
        read_continuous_run(run)


def test_the_command_fuses_a_run(run):
    told = CliRunner().invoke(ensemble_app, ["continuous", str(run), "--folds", "3", "--json"])
    assert told.exit_code == 0, told.output
    data = json.loads(told.stdout)
    expected = evaluate(read_continuous_run(run).recordings, 3)
    assert [one["dimension"] for one in data["dimensions"]] == list(DIMENSIONS)
    weights = data["dimensions"][0]["weights"]
    assert weights == pytest.approx(expected.dimensions[0].weights) and max(weights, key=weights.get).startswith("a/")


def test_the_leaderboard_lists_them(run):
    told = CliRunner().invoke(ensemble_app, ["leaderboard", str(run), "--test"])
    assert told.exit_code == 0 and "2 members on 6 held-out recordings of fold-0-of-2, fold-1-of-2; CCC" in told.stdout
    data = json.loads(CliRunner().invoke(ensemble_app, ["leaderboard", str(run), "--json"]).stdout)
    assert [member["entry"] for member in data["continuous"]["members"]] == ["a", "b"]
    board = emofuse.open_run(run).leaderboard(test=True)
    assert board["entry"].tolist() == ["a", "b"] and {"ccc", "ccc_arousal", "test_ccc_valence"} <= set(board)
    assert board["ccc"].tolist() == [member["metrics"]["ccc"] for member in data["continuous"]["members"]]
    with pytest.raises(WrongUse, match="leave split out"):
        emofuse.open_run(run).leaderboard(split="train")


def test_mistakes_are_told(run, capsys, tmp_path):
    assert emofuse.main(["ensemble", "fit", str(run)]) == 1
    assert "its predictions are of continuous emotion, not of classes; run `emofuse ensemble continuous" in (
        capsys.readouterr().err
    )
    assert emofuse.main(["ensemble", "continuous", str(run), "--labels", "x"]) == 2
    assert emofuse.main(["ensemble", "continuous", str(run / "x.parquet")]) == 2
    assert "Predictions in a file need --labels" in capsys.readouterr().err


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_predictions_that_are_not_finite_are_refused(run, bad):
    path = write(run, "b", "fold-1-of-2", (3, 4, 5), 0.4, seed=1)
    table = pq.read_table(path, partitioning=None)
    p = table["p_valence"].to_numpy().copy()
    p[2] = bad
    footer = json.loads(pq.read_schema(path).metadata[FOOTER]) | {"schema_version": 1}  # as a release without seals
    table = table.set_column(table.column_names.index("p_valence"), "p_valence", pa.array(p))
    pq.write_table(table.replace_schema_metadata({FOOTER: json.dumps(footer)}), path)
    with pytest.raises(EmofuseError, match="finite predictions at rising times for clip 'r0', but 1 are not finite"):
        read_continuous_run(run)
