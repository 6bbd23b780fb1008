"""`emofuse evaluate`: a bundle on labelled clips."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from ensembles.bundle.results import ClipPrediction
from ensembles.cli.command import main
from features.clips import Clip, ClipTable, write_clips

CLASSES = ("angry", "<bad>")


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Forty clips of four speakers, of which a stand-in for a bundle gets three of four right; one can't be read."""
    splits = ["test" if n % 4 else "val" for n in range(40)]
    clips = [Clip(f"c{n}", f"c{n}.wav", splits[n], CLASSES[n % 3 % 2], f"s{n // 10}") for n in range(40)]
    path = tmp_path / "clips.parquet"
    write_clips(ClipTable(tuple(clips), tmp_path), path)
    bundle = SimpleNamespace(
        imported={}, folder=tmp_path / "b", ensemble=SimpleNamespace(over_time=None, classes=CLASSES)
    )

    def predict_many(opened, asked, **how):
        for clip in asked:
            n = int(clip.name[1:])
            true = n % 3 % 2
            if n == 1:
                yield clip, ClipPrediction(clip.name, reason="unreadable: cut off")
                continue
            sure = [0.8, 0.2] if (true == 0) == bool(n % 4) else [0.2, 0.8]
            far = {"faces": 2.0} if n == 2 else {}
            yield (
                clip,
                ClipPrediction(clip.name, "x", dict(zip(CLASSES, sure, strict=True)), {}, distance=0.5, unlike=far),
            )

    monkeypatch.setattr("ensembles.bundle.bundle.open_bundle", lambda folder: bundle)
    monkeypatch.setattr("ensembles.applying.given_clips.predict_many", predict_many)
    return path


def test_the_test_split_counts_alone(table, capsys):
    assert main(["evaluate", "bundle", str(table), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["scored"] == "30 of 40 clips (split test)" and found["clips"] == 29 and found["groups"] == 4
    assert found["accuracy"] == 1.0 and found["without"] == {"c1": "unreadable: cut off"} and found["unlike"] == 1
    low, high = found["intervals"]["unweighted_accuracy"]
    assert 0.5 < low < high <= 1


def test_all_splits_where_they_are_asked_for(table, capsys):
    assert main(["evaluate", "bundle", str(table), "--split", "all"]) == 0
    told = capsys.readouterr().out
    assert "on 40 clips, 4 groups" in told and "74.4" in told and "unweighted accuracy (UAR)" in told
    assert "1 clip is unlike those that it learned from; on the others it is right in 73.7 %" in told
    assert "1 clips could not be scored, such as c1: unreadable: cut off" in told


def test_a_page_holds_it_all(table, tmp_path):
    out = tmp_path / "e.html"
    assert main(["evaluate", "bundle", str(table), "--split", "all", "-o", str(out)]) == 0
    page = out.read_text(encoding="utf-8")
    for text in (
        "74.4 %",
        "interval over groups",
        "What is taken for what",
        "Reliability diagram",
        "10 of 39 clips are",
    ):
        assert text in page
    assert "&lt;bad&gt;" in page and "<bad>" not in page.partition("</style>")[2].partition("<script")[0]


def test_other_labels_and_splits_are_refused(table, tmp_path, capsys):
    assert main(["evaluate", "bundle", str(table), "--split", "tset"]) == 2
    assert "tset" in capsys.readouterr().err
    assert main(["evaluate", "bundle", str(table), "--split", "train"]) == 1
    assert "has no labelled clip of split train; it holds 30 test, 10 val" in capsys.readouterr().err
    from features.clips import read_clips

    known = read_clips(table)
    write_clips(replace(known, clips=tuple(replace(c, label="Angry") for c in known.clips)), table)
    assert main(["evaluate", "bundle", str(table)]) == 2
    assert "knows the classes angry, <bad>, but 30 clips are labelled 'Angry'" in capsys.readouterr().err
