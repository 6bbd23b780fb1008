import os
import shlex
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from features import extract as extraction
from features.app import features_app
from features.clips import Clip, ClipTable, hash_media, read_clips, write_clips
from features.errors import ClipFailure, DamagedFile, EmofuseError
from features.extract import extract
from features.sets import FeatureArray, FeatureSet
from features.store.store import open_set, stored_sets
from features.workers.clip_processes import ProcessDied, run_all

BAD = {"face": ClipFailure("no_face", "none in 40 frames"), "bug": ZeroDivisionError("division by zero")}


def read(media, params) -> FeatureArray:
    """What the fake set gives: the file's bytes as numbers; files that say so fail, crash or empty the clip."""
    text = media.path.read_text()
    if text in BAD:
        raise BAD[text]
    if text == "crash":
        os._exit(9)
    if text == "slow":
        time.sleep(60)
    values = np.frombuffer(b"" if text == "short" else text.encode(), np.uint8)[:, None]
    return FeatureArray(values, np.arange(len(values)) / 10)


SET = FeatureSet("fake", 1, "frame", "for tests", read, lambda params: (1,), {"size": 3})


class InProcessJob(extraction._Job):
    """Reads the fake set in spawned processes, which don't know it by name."""

    def _extracted(self, media):
        return read(media, self.spec.params)


@pytest.fixture(autouse=True)
def fake_set(monkeypatch):
    monkeypatch.setattr("features.sets._MODULES", {"fake": __name__})


def clips(root: Path, texts: dict[str, str]) -> ClipTable:
    for name, text in texts.items():
        (root / f"{name}.wav").write_text(text)
    return hash_media(ClipTable(tuple(Clip(name, f"{name}.wav", "train", "x", "g") for name in texts), root))


def test_one_bad_clip_is_a_row(tmp_path, capsys):
    table = clips(tmp_path, {"a": "good", "b": "face", "c": "bug", "d": "short", "e": "", "f": "fine", "g": "x"})
    gone = [Clip(name, path, "test", None, "g") for name, path in (("h", "none.wav"), ("i", None))]
    table = replace(table, clips=(*table.clips, *gone))
    (summary,) = extract(table, ["fake"], tmp_path / "store", workers=0)
    stored = open_set(tmp_path / "store", "fake", table)
    assert bytes(stored["a"][:, 0]) == b"good"
    assert (stored.status("b"), stored.reason("b")) == ("no_face", "none in 40 frames")
    assert (stored.status("c"), stored.reason("c")) == ("unreadable", "ZeroDivisionError: division by zero")
    assert stored.status("d") == "too_short"
    assert stored.reason("e") == "the file is empty (0 bytes)"
    assert (stored.status("h"), stored.status("i")) == ("missing", "missing")
    assert (summary.ok, summary.statuses["unreadable"], len(summary.failures)) == (3, 2, 6)
    said = capsys.readouterr().err
    assert "fake: 3 clips ok, failed: 2 missing, 1 no_face, 1 too_short, 2 unreadable in" in said
    assert "  b: no_face, none in 40 frames" in said
    assert "... and 3 more" in said


def test_done_clips_are_not_read_again(tmp_path, monkeypatch, capsys):
    table = clips(tmp_path, {"a": "good", "b": "face", "c": "fine"})
    read_ids = []

    def counting(media, params):
        read_ids.append(media.path.stem)
        if media.path.stem == "c" and len(read_ids) == 3:
            raise KeyboardInterrupt
        return read(media, params)

    monkeypatch.setattr(f"{__name__}.SET", replace(SET, extract=counting))
    with pytest.raises(KeyboardInterrupt):
        extract(table, ["fake"], tmp_path / "store", workers=0)
    assert list(stored_sets(tmp_path / "store")) == []
    extract(table, ["fake"], tmp_path / "store", workers=0)
    assert read_ids == ["a", "b", "c", "c"]
    (summary,) = extract(table, ["fake"], tmp_path / "store", workers=0)
    assert summary.skipped and "verified, nothing to do" in capsys.readouterr().err
    extract(table, ["fake"], tmp_path / "store", workers=0, retry_failed=True)
    assert read_ids == ["a", "b", "c", "c", "b"]


def test_damaged_clips_are_extracted_again(tmp_path, capsys):
    table = clips(tmp_path, {"a": "good", "b": "fine"})
    extract(table, ["fake"], tmp_path / "store", workers=0)
    (path,) = tmp_path.rglob("data.arrow")
    path.write_bytes(path.read_bytes().replace(b"fine", b"line"))
    extract(table, ["fake"], tmp_path / "store", workers=0)
    assert bytes(open_set(tmp_path / "store", "fake", table)["b"][:, 0]) == b"fine"
    path.write_bytes(path.read_bytes()[:100])
    extract(table, ["fake"], tmp_path / "store", workers=0)
    assert "fake: the stored set is damaged and is extracted again" in capsys.readouterr().err
    assert bytes(open_set(tmp_path / "store", "fake", table)["b"][:, 0]) == b"fine"


def test_the_printed_command_mends_a_damaged_clip(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "with blanks"
    folder.mkdir()
    write_clips(clips(folder, {"a": "good", "b": "fine", "c": "rest"}), folder / "clips.parquet")
    table = read_clips(folder / "clips.parquet")
    extract(table, ["fake:size=4"], folder / "store", workers=0)
    (path,) = folder.rglob("data.arrow")
    path.write_bytes(path.read_bytes().replace(b"fine", b"line"))
    for _ in range(2):
        with pytest.raises(DamagedFile, match=r"clip 'b' are not .*only the damaged are read anew: `.*`\.") as told:
            open_set(folder / "store", "fake:size=4", table)["a"]
    command, read_ids = str(told.value).split("`")[1], []

    def counting(media, params):
        read_ids.append(media.path.stem)
        return read(media, params)

    monkeypatch.setattr(f"{__name__}.SET", replace(SET, extract=counting))
    CliRunner().invoke(features_app, [*shlex.split(command)[2:], "--workers", "0"], catch_exceptions=False)
    assert read_ids == ["b"]
    assert bytes(open_set(folder / "store", "fake:size=4", table)["b"][:, 0]) == b"fine"


def test_a_crashing_clip_costs_itself_only(tmp_path, monkeypatch):
    monkeypatch.setattr(extraction, "_Job", InProcessJob)
    table = clips(tmp_path, {"a": "good", "b": "crash", "c": "fine", "d": "face"})
    extract(table, ["fake"], tmp_path / "store", workers=2)
    stored = open_set(tmp_path / "store", "fake", table)
    assert [stored.status(i) for i in "abcd"] == ["ok", "unreadable", "ok", "no_face"]
    assert stored.reason("b") == "the process that read it died (crash, out of memory)"


def dies_at_three(task: int) -> str:
    if task == 3:
        os._exit(1)
    return os.environ["OMP_NUM_THREADS"]


def test_every_task_has_one_result():
    results = dict(run_all(dies_at_three, range(6), 2))
    assert isinstance(results.pop(3), ProcessDied)
    assert results == dict.fromkeys([0, 1, 2, 4, 5], "1")


def fails(task: int) -> None:
    raise EmofuseError("the weights file is missing")


def test_an_error_of_the_work_itself_ends_the_run():
    with pytest.raises(EmofuseError, match="the weights file is missing"):
        list(run_all(fails, range(3), 1))


def test_a_missing_extra_is_told(tmp_path, monkeypatch):
    def without(media, params):
        raise ModuleNotFoundError("No module named 'opensmile'")

    monkeypatch.setattr(f"{__name__}.SET", replace(SET, extract=without, extra="research"))
    with pytest.raises(EmofuseError, match=r"'opensmile'\); install it with: pip install 'emofuse\[research\]'"):
        extract(clips(tmp_path, {"a": "good"}), ["fake"], tmp_path / "store", workers=0)


def test_unusable_tables_and_stores(tmp_path):
    with pytest.raises(EmofuseError, match="nothing to extract"):
        extract(ClipTable((), tmp_path), ["fake"], tmp_path / "store", workers=0)
    table = clips(tmp_path, {"a": "good"})
    with pytest.raises(EmofuseError, match="a clip_id is unique"):
        extract(replace(table, clips=table.clips * 2), ["fake"], tmp_path / "store", workers=0)
    (tmp_path / "file").write_text("")
    with pytest.raises(EmofuseError, match=r"/file: expected a folder, but this is a file; choose another path"):
        extract(table, ["fake"], tmp_path / "file", workers=0)


KILLED = """
import sys
sys.path.insert(0, {tests!r})
import test_extract as t
if __name__ == "__main__":
    import features.extract as e, features.sets as s
    s._MODULES = {{"fake": "test_extract"}}
    e._Job = t.InProcessJob
    e.extract(t.clips(t.Path({root!r}), {texts!r}), ["fake"], t.Path({root!r}) / "store", workers=2)
"""


@pytest.mark.slow
def test_a_killed_extraction_resumes_and_leaves_no_process(tmp_path):
    texts = {"a": "good", "b": "slow", "c": "fine", "d": "slow", "e": "rest"}
    script = tmp_path / "run.py"
    script.write_text(KILLED.format(tests=str(Path(__file__).parent), root=str(tmp_path), texts=texts))
    repo = str(Path(extraction.__file__).parents[1])
    process = subprocess.Popen([sys.executable, str(script)], env=os.environ | {"PYTHONPATH": repo})
    parts = tmp_path / "store" / "fake"
    deadline = time.monotonic() + 60
    while len(list(parts.glob("*.parts/*.npz"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="utf-8").split()
    assert children
    process.kill()
    process.wait()
    assert {path.suffix for path in parts.glob("*.parts/*")} == {".npz"}
    table = clips(tmp_path, texts)
    texts_now = {i: "none" if text == "slow" else text for i, text in texts.items()}
    for name, text in texts_now.items():
        (tmp_path / f"{name}.wav").write_text(text)
    (tmp_path / "a.wav").write_text("face")
    extract(table, ["fake"], tmp_path / "store", workers=0)
    stored = open_set(tmp_path / "store", "fake", table)
    assert [bytes(stored[i][:, 0]) for i in "abcde"] == [b"good", b"none", b"fine", b"none", b"rest"]
    while any(Path(f"/proc/{child}").exists() for child in children) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(Path(f"/proc/{child}").exists() for child in children)
