import errno
import os
import shlex
import subprocess
import sys
import time
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from features import extract as extraction
from features.app import features_app
from features.clips import Clip, ClipTable, hash_media, read_clips, write_clips
from features.errors import ClipFailure, DamagedFile, EmofuseError, MachineFault
from features.extract import extract
from features.sets import FeatureArray, FeatureSet
from features.store.store import open_set, stored_sets
from features.unwritable import this_user
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


def read_many(media, params):
    """A set that takes clips together, and is taken along by one of them."""
    for number, one in enumerate(media):
        try:
            yield number, read(one, params)
        except ClipFailure as failure:
            yield number, failure


class ManyJob(extraction._Job):
    """Knows the set that takes many in spawned processes."""

    def run(self, task):
        import features.sets

        features.sets._MODULES = {"fake": __name__}
        globals()["SET"] = replace(SET, extract_many=read_many)
        super().run(task)


def test_of_clips_that_are_taken_together_only_the_crashing_one_is_lost(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(f"{__name__}.SET", replace(SET, extract_many=read_many))
    monkeypatch.setattr(extraction, "_Job", ManyJob)
    table = clips(tmp_path, {"a": "good", "b": "crash", "c": "fine", "d": "face", "e": ""})
    extract(table, ["fake"], tmp_path / "store", workers=1)
    stored = open_set(tmp_path / "store", "fake", table)
    assert [stored.status(i) for i in "abcde"] == ["ok", "unreadable", "ok", "no_face", "unreadable"]
    assert stored.reason("b") == "the process that read it died (crash, out of memory)"
    assert "extract fake: 5 of 5" in capsys.readouterr().err


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


def broken_machine(name: str) -> BaseException:
    """What extractors raise on machines that can't compute."""
    if name == "numba":
        return RuntimeError("cannot cache function 'x': no locator available for file 'y.py'")
    if name == "import":
        with pytest.raises(SystemError) as caught:
            import_module("breaks_when_imported")
        return caught.value
    return {
        "temp": FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"),
        "cache": PermissionError(errno.EACCES, "Permission denied", "/home/x/.cache/y.nbi"),
        "full": OSError(errno.ENOSPC, "No space left on device", "/tmp/x"),
        "read-only": OSError(errno.EROFS, "Read-only file system", "/home/x"),
        "files": OSError(errno.EMFILE, "Too many open files"),
        "shared": ImportError("libGL.so.1: cannot open shared object file"),
        "library": ModuleNotFoundError("No module named 'opensmile'"),
    }[name]


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (
            "numba",
            r"^Feature set 'fake' can't run on .* \(RuntimeError: cannot cache .*\); set NUMBA_CACHE_DIR to a folder",
        ),
        ("import", r"can't run on .* \(SystemError: no good\); mend what can't be imported, or install emofuse anew"),
        ("temp", r"No usable temporary directory found in .*; set TMPDIR to a folder that user .* can write to"),
        ("cache", r"\(\[Errno 13\] Permission denied: '/home/x/.*'\); let user .* use that place"),
        ("full", r"^/tmp: expected to write here, but the disk is full .*; make room"),
        ("read-only", r"^/home: expected to write here, but the disk is read-only"),
        ("files", r"raise the limit of open files"),
        ("shared", r"\(libGL.so.1: cannot open .*\); install the system's library libGL.so.1 \(Debian: apt"),
        ("library", r"install it with: pip install 'emofuse\[research\]'"),
    ],
)
def test_a_machines_fault_is_no_clips(tmp_path, monkeypatch, fault, told):
    (tmp_path / "breaks_when_imported.py").write_text("raise SystemError('no good')")
    monkeypatch.syspath_prepend(str(tmp_path))
    table, whole = clips(tmp_path, {"a": "good", "b": "face", "c": "fine"}), SET

    def broken(media, params):
        if media.path.stem == "c":
            raise broken_machine(fault)
        return read(media, params)

    monkeypatch.setattr(f"{__name__}.SET", replace(SET, extract=broken, extra="research"))
    with pytest.raises(MachineFault, match=told) as caught:
        extract(table, ["fake"], tmp_path / "store", workers=0)
    assert str(caught.value).endswith("and run the same command: it goes on where this one stopped.")
    assert len(list(tmp_path.glob("store/fake/.*.parts/*"))) == 2
    monkeypatch.setattr(f"{__name__}.SET", whole)
    (summary,) = extract(table, ["fake"], tmp_path / "store", workers=0)
    assert summary.statuses == {"ok": 2, "no_face": 1}


@pytest.mark.parametrize(
    "error",
    [
        OSError("image file is truncated"),
        PermissionError(errno.EPERM, "Operation not permitted", "MEDIA"),
        OSError(errno.EIO, "Input/output error"),
        ValueError("odd"),
    ],
)
def test_a_clips_fault_is_no_machines(tmp_path, monkeypatch, error):
    table = clips(tmp_path, {"a": "good"})

    def broken(media, params):
        if error.__dict__.get("filename", getattr(error, "filename", None)):
            error.filename = str(media.path)
        raise error

    monkeypatch.setattr(f"{__name__}.SET", replace(SET, extract=broken))
    (summary,) = extract(table, ["fake"], tmp_path / "store", workers=0)
    assert summary.statuses == {"unreadable": 1}


def test_a_set_whose_module_finds_no_cache_is_told(tmp_path, monkeypatch):
    (tmp_path / "uncached.py").write_text("from numba import njit\n@njit(cache=True)\ndef f():\n    return 1\n")
    monkeypatch.setattr("numba.core.caching.CacheImpl._locator_classes", [])
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("features.sets._MODULES", {"fake": "uncached"})
    with pytest.raises(
        MachineFault, match=r"^Feature set 'fake' can't run on .*cannot cache function 'f'.*NUMBA_CACHE"
    ):
        extract(clips(tmp_path, {"a": "good"}), ["fake"], tmp_path / "store", workers=0)


def test_what_was_missing_is_tried_again_once_it_is_there(tmp_path, capsys):
    table = clips(tmp_path, {"a": "good", "b": "fine"})
    (tmp_path / "b.wav").rename(tmp_path / "away")
    extract(table, ["fake"], tmp_path / "store", workers=0)
    (summary,) = extract(table, ["fake"], tmp_path / "store", workers=0)
    assert summary.skipped and summary.statuses == {"ok": 1, "missing": 1}
    (tmp_path / "away").rename(tmp_path / "b.wav")
    (summary,) = extract(table, ["fake"], tmp_path / "store", workers=0)
    assert summary.statuses == {"ok": 2}


def test_a_file_that_may_not_be_read_is_missing(tmp_path, monkeypatch):
    table = clips(tmp_path, {"a": "good", "b": "fine"})
    monkeypatch.setattr("features.one_clip.os.access", lambda path, how: path.stem == "a")
    (summary,) = extract(table, ["fake"], tmp_path / "store", workers=0)
    assert summary.failures == (("b", "missing", f"{this_user()} may not read {table.root / 'b.wav'}"),)


def test_memory_that_runs_out_alone_is_a_row(tmp_path, monkeypatch):
    def hungry(media, params):
        if media.path.stem == "b":
            raise MemoryError
        return read(media, params)

    monkeypatch.setattr(f"{__name__}.SET", replace(SET, extract=hungry))
    (summary,) = extract(clips(tmp_path, {"a": "good", "b": "fine"}), ["fake"], tmp_path / "store", workers=0)
    assert summary.failures == (
        ("b", "unreadable", "main memory ran out while it was read, also when nothing else was"),
    )


def test_a_machine_that_kills_all_processes_records_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(extraction, "run_all", lambda work, tasks, count: ((task, ProcessDied()) for task in tasks))
    table = clips(tmp_path, {f"c{i}": "good" for i in range(6)})
    with pytest.raises(
        MachineFault, match=r"^None of 5 clips could be read on .*process that read it died .*same command"
    ):
        extract(table, ["fake"], tmp_path / "store", workers=2)
    assert not list(tmp_path.glob("store/fake/.*.parts/*"))


def no_memory_at_three(task: int) -> int:
    if task == 3:
        raise MemoryError
    return task


def test_memory_is_asked_for_again_alone():
    results = dict(run_all(no_memory_at_three, range(5), 2))
    assert results.pop(3) == ProcessDied("main memory ran out while it was read, also when nothing else was")
    assert results == {n: n for n in (0, 1, 2, 4)}


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
