"""The continuous predictions of a run folder, fused and listed."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tracks import small_run, write
from typer.testing import CliRunner

import emofuse
from ensembles.cli.app import ensemble_app
from ensembles.continuous.run import continuous_entries, read_continuous_run
from features.errors import EmofuseError, WrongUse
from models.concordance import concordance
from search.run.predictions import FOOTER


@pytest.fixture
def run(tmp_path):
    return small_run(tmp_path)


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
    assert emofuse.main(["ensemble", "confusion", str(run), "a"]) == 1
    assert "its predictions are of continuous emotion, not of classes, which this command is for" in (
        capsys.readouterr().err
    )
    assert emofuse.main(["ensemble", "continuous", str(run)]) == 2
    assert f"{run} is a run: fuse its predictions by `emofuse ensemble fit {run}`." in capsys.readouterr().err
    assert emofuse.main(["ensemble", "continuous", str(run / "x.parquet")]) == 2
    assert "Predictions in a file need --labels" in capsys.readouterr().err
    (tmp_path / "x.csv").write_text("clip_id,label\nr9,happy\n")
    assert emofuse.main(["ensemble", "leaderboard", str(run), "--test", "--labels", str(tmp_path / "x.csv")]) == 2
    assert "x.csv holds classes of clips, but the members learnt continuous emotion" in capsys.readouterr().err


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
