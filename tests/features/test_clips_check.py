import json

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from media_files import noise, tone, write_video
from typer.testing import CliRunner

from features.app import clips_app
from features.checking.media import probe
from features.checking.rows import _differ_by_one, row_findings
from features.clips import Clip, ClipTable, write_clips
from features.sets import Media


def table(tmp_path, *rows, **changes):
    """Rows of `id split label group`, with a path or without."""
    names = ("clip_id", "split", "label", "group_id", "path")
    clips = [Clip(**{"path": None, **dict(zip(names, row.split(), strict=False)), **changes}) for row in rows]
    return ClipTable(tuple(clips), tmp_path)


def found(table):
    return [f"{level}: {text}" for level, text in row_findings(table)]


def sane(count=10):
    """Splits with enough groups and clips of two classes."""
    return [
        f"{split}{i} {split} {('sad', 'glad')[i % 2]} {split}{i // 2}"
        for split in ("train", "val", "test")
        for i in range(count)
    ]


def test_a_sane_table_has_no_findings(tmp_path):
    assert found(table(tmp_path, *sane())) == []


def test_groups_and_media_in_two_splits_are_errors(tmp_path):
    (told,) = found(table(tmp_path, *sane(), "x val sad train0"))
    assert told.startswith("error: 1 group lies in more than one split, such as 'train0' in train and 'x' in val")
    rows = [f"{row} {row.split()[0]}.mp4" for row in sane()]
    (told,) = found(table(tmp_path, *rows, "x test sad g train3.mp4", "y test sad h train4.mp4"))
    assert told.startswith("error: 2 media files lie in more than one split, such as 'train3' in train and 'x' in test")


def test_labels_one_letter_apart_and_rare_classes_are_told(tmp_path):
    rows = [*sane(60), "a train angry a", "b train angri b", "c val happy c"]
    assert found(table(tmp_path, *rows)) == [
        "warning: the labels 'angri' and 'angry' differ by one letter: are they one class?",
        "error: train holds no clip of happy",
        "warning: val holds no clip of angri, angry",
        "warning: test holds no clip of angri, angry, happy",
        "warning: train holds fewer than 5 clips of angri (1), angry (1)",
        "warning: train holds 30 clips of sad and 1 of angri: look at unweighted accuracy (UAR) too",
    ]


def test_few_groups_and_empty_splits_are_told(tmp_path):
    rows = [row for row in sane() if "test" not in row and "val9" not in row and "val8" not in row]
    told = found(table(tmp_path, *(row if "val" not in row else f"{' '.join(row.split()[:3])} v" for row in rows)))
    assert told == [
        "warning: val holds 1 group (speakers, films): its scores and intervals mean little",
        "warning: no clip is in test",
    ]


@given(st.text("abcd", min_size=2, max_size=6), st.integers(0, 6), st.sampled_from("abcde"))
def test_one_letter_apart(word, at, letter):
    at %= len(word)
    for other in (word[:at] + letter + word[at:], word[:at] + word[at + 1 :], word[:at] + letter + word[at + 1 :]):
        assert _differ_by_one(word, other) and _differ_by_one(other, word)
    assert not _differ_by_one(word, f"{word}ee") and not _differ_by_one(word, f"e{word}e")


def test_neighbours_swapped_are_one_letter_apart_and_numbers_are_not():
    assert _differ_by_one("angry", "agnry") and not _differ_by_one("1001", "1002")


@pytest.fixture
def clips(tmp_path):
    """Clips of train with sound, in val nearly the same as train1 and one that can't be read, in test a silent one."""
    rng = np.random.default_rng(0)
    for i in range(3):
        pictures = [np.kron(rng.integers(0, 255, (6, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)] * 5
        write_video(tmp_path / f"train{i}.mp4", pictures, audio=tone(0.4))
        if i == 1:
            write_video(tmp_path / "again.mp4", pictures, codec="mpeg4")
    (tmp_path / "broken.mp4").write_bytes(b"no media" * 100)
    soundfile.write(tmp_path / "silent.wav", np.zeros(8000), 16000)
    rows = [f"train{i} train {'ab'[i % 2]} g{i} train{i}.mp4" for i in range(3)]
    rows += ["again val a h again.mp4", "broken val b i broken.mp4", "silent test a j silent.wav"]
    write_clips(table(tmp_path, *rows), tmp_path / "clips.parquet")
    return tmp_path / "clips.parquet"


def test_the_command_looks_into_files(clips):
    done = CliRunner().invoke(clips_app, ["check", str(clips)])
    assert done.exit_code == 1 and "4 of 6 clips have a picture, 3 have sound." in done.output
    assert "error: 1 clip unreadable, such as 'broken': a file of 800 bytes that isn't a media file" in done.output
    assert "error: 1 clip no_audio, such as 'silent': the audio track is digitally silent" in done.output
    assert "1 pair of clips begin with nearly the same picture in two splits, such as 'train1' in train" in done.output
    assert "Mend the errors before a search" in done.output


def test_json_and_rows_alone(clips):
    done = CliRunner().invoke(clips_app, ["check", str(clips), "--json", "--no-media"])
    told = json.loads(done.output)
    assert done.exit_code == 0 and told["clips"] == 6 and told["classes"]["train"] == {"a": 2, "b": 1}
    assert {finding["level"] for finding in told["findings"]} == {"warning"} and told["failed"] == {}


def test_a_picture_without_contrast_is_like_none(tmp_path):
    write_video(tmp_path / "grey.mp4", [np.full((48, 64, 3), 128, np.uint8)] * 3)
    write_video(tmp_path / "noise.mp4", noise(3))
    assert probe(Media(tmp_path / "grey.mp4")).look is None and probe(Media(tmp_path / "noise.mp4")).look is not None


def test_a_file_in_two_splits_is_told_when_the_table_is_made(tmp_path, capsys):
    soundfile.write(tmp_path / "a.wav", np.ones(800) / 2, 8000)
    (tmp_path / "b.wav").write_bytes((tmp_path / "a.wav").read_bytes())
    rows = "clip_id,path,split,label,group_id\na,a.wav,train,sad,x\nb,b.wav,test,sad,x\n"
    (tmp_path / "my.csv").write_text(rows)
    result = CliRunner().invoke(clips_app, ["table", str(tmp_path / "my.csv"), "-o", str(tmp_path / "c.parquet")])
    told = result.output.replace("\n", " ")
    assert result.exit_code == 0
    assert "1 group lies in more than one split" in told
    assert "1 media file lies in more than one split, such as 'a' in train and 'b' in test" in told
    assert told.count("a search refuses such partitions") == 2


def test_a_switch_has_no_opposite_of_its_own():
    text = CliRunner().invoke(clips_app, ["table", "--help"]).output
    assert "--no-media" in text and "--no-no-media" not in text
