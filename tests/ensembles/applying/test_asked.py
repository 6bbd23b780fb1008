"""What words of a command line mean as clips, and long recordings as windows."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ensembles.applying.asked import Asked, asked, told_apart, windows
from features.clips import Clip, ClipTable, write_clips
from features.errors import EmofuseError, WrongUse
from features.sets import Media


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a/x.wav", "b/x.wav", "b/y.wav"):
        path = Path(name)
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, np.zeros(8000), 8000)
    Path("b/notes.txt").write_text("no media", encoding="utf-8")
    return tmp_path


def names(*words, stdin=""):
    return [one.name for one in asked(words, io.StringIO(stdin))]


def test_files_folders_globs_and_stdin(folder, capsys):
    assert names("b/y.wav", "a") == ["b/y.wav", "a/x.wav"]
    assert names("*/x.wav") == ["a/x.wav", "b/x.wav"]
    assert names("-", stdin="a/x.wav\n\nb\r\n") == ["a/x.wav", "b/x.wav", "b/y.wav"]
    assert names("b/y.wav", "b") == ["b/y.wav", "b/x.wav"], "each clip once"
    assert "b: passed over: no audio or image or video by name or content: 1 .txt" in capsys.readouterr().err
    assert names("b/*") == ["b/x.wav", "b/y.wav"]
    assert "b/*: passed over: 1 file that are no media" in capsys.readouterr().err
    assert names("gone.wav") == ["gone.wav"], "its row will tell"


def test_a_file_that_is_no_media_is_refused_where_it_is_named(folder):
    with pytest.raises(WrongUse, match=r"b/notes\.txt: expected a media file, a folder of them or a clip table"):
        names("b/notes.txt")
    with pytest.raises(WrongUse, match=r"\*\.txt: no media file has such a name"):
        names("b/*.txt")
    with pytest.raises(WrongUse, match="There is no clip to predict"):
        names("-", stdin="\n")


def test_a_clip_table_gives_ids_and_parts(folder):
    clip = Clip("one", "a/x.wav", "train", "sad", "g", 0.5, 1.0)
    write_clips(ClipTable((clip,), folder), folder / "clips.parquet")
    (one,) = asked(["clips.parquet"], io.StringIO())
    assert (one.name, one.path, one.media.start_s, one.media.end_s) == ("one", "a/x.wav", 0.5, 1.0)
    assert one.media.path.samefile("a/x.wav")


def test_a_csv_needs_only_paths(folder):
    Path("list.csv").write_text("path,start_s,end_s,other\na/x.wav,0,0.5,z\na/x.wav,0.5,,z\n", encoding="utf-8")
    first, second = asked(["list.csv"], io.StringIO())
    assert first.key == ("a/x.wav", 0.0, 0.5) and second.key == ("a/x.wav", 0.5, None)
    Path("list.csv").write_text("file\na/x.wav\n", encoding="utf-8")
    with pytest.raises(
        EmofuseError, match=r"list\.csv: expected a list of clips with a column path, but its columns are"
    ):
        asked(["list.csv"], io.StringIO())
    Path("list.csv").write_text("path,start_s,end_s\na/x.wav,2,1\n", encoding="utf-8")
    with pytest.raises(EmofuseError, match="row 1: expected 0 <= start_s < end_s, but got 2 and 1"):
        asked(["list.csv"], io.StringIO())


def test_windows_reach_the_end(tmp_path):
    path = tmp_path / "long.wav"
    soundfile.write(path, np.zeros(8000 * 5 + 4000), 8000)  # 5.5 s
    clip = Asked("long", str(path), Media(path))

    def parts(window_s, step_s, of=clip):
        return [(part.media.start_s, part.media.end_s) for part in windows([of], window_s, step_s)]

    assert parts(2, 1) == [(0, 2), (1, 3), (2, 4), (3, 5), (3.5, 5.5)]
    assert parts(2.5, 3) == [(0, 2.5), (3, 5.5)]
    assert parts(6, 1) == [(0, None)]
    assert parts(2, 2, Asked("part", "", Media(path, 1.0, 5.0))) == [(1, 3), (3, 5)]
    assert parts(2, 2, Asked("gone", "", Media(tmp_path / "gone.wav"))) == [(0, None)]
    with pytest.raises(WrongUse, match="--window and --step are seconds above 0, but got 0 and 1"):
        parts(0, 1)


def test_names_tell_files_of_one_name_apart():
    clips = [Asked(name, name, Media(Path(name))) for name in ("/d/a/x.wav", "/d/b/x.wav", "/d/b/y.wav", "/e/b/x.wav")]
    assert list(told_apart(clips).values()) == ["a/x.wav", "d/b/x.wav", "y.wav", "e/b/x.wav"]
