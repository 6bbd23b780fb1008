"""Searches on a disk that fills up or turns read-only: a real one, made of memory, which takes root."""

import os
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from small_world import CENTROID, FAMILIES, Centroid, message

import emofuse
from features.unwritable import Unwritable
from search.cluster.workers import Workers
from search.run.predictions import prediction_files, read_predictions
from search.runner import run_search

SIZE_KB = 512


def _mount(*arguments):
    done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no file system of our own: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path):
    """A small disk of its own."""
    if os.geteuid():
        pytest.skip("mounting takes root")
    folder = tmp_path / "disk"
    folder.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={SIZE_KB}k", "tmpfs", folder)
    yield folder
    subprocess.run(["umount", "-l", "-R", folder], check=True)


@pytest.fixture
def search(small_run):
    """`search(out)` searches four configurations on two partitions in this process."""
    stages = [{"stage": "clips", "entries": {"centroid": {"configurations": 4}}}]
    run = small_run(partitions=["train", "swap"], stages=stages)

    def go(out):
        workers = Workers(in_process=True)
        return run_search(run.recipe, clips=run.clips, store=run.store, out=out, workers=workers)

    return go


def _same(one, other):
    files = prediction_files(one)
    assert [path.name for path in files] == [path.name for path in prediction_files(other)]
    for path in files:
        first, second = read_predictions(path), read_predictions(other / path.relative_to(one))
        np.testing.assert_array_equal(first.probabilities, second.probabilities)


def test_a_disk_that_fills_up(disk, search, tmp_path):
    whole = search(tmp_path / "whole")
    stopped, kept = 0, 0
    for free_kb in (0, 8, 20, 40, 80):
        ballast = disk / "ballast"
        used = sum(path.stat().st_blocks for path in disk.rglob("*")) // 2
        ballast.write_bytes(b"0" * 1024 * max(0, SIZE_KB - used - free_kb))
        try:
            search(disk / "run")
        except Unwritable as error:
            stopped += 1
            assert f"{disk}/run: expected to write here, but the disk is full" in str(error)
            assert str(error).endswith("make room and run the same command: it goes on where this one stopped.")
        ballast.unlink()
        files = prediction_files(disk / "run")
        assert len(files) >= kept and not [path for path in disk.rglob(".*.????????") if path.is_file()]
        kept = len(files)
        for path in files:
            read_predictions(path)
    assert stopped > 2
    status = search(disk / "run")
    assert status.left == 0 and status.entries == whole.entries and not status.entries[0].failed
    _same(tmp_path / "whole", disk / "run")


def test_a_disk_that_turns_read_only(disk, search, tmp_path, monkeypatch, capsys):
    search(tmp_path / "whole")
    fits = []

    class Turning(Centroid):
        def fit(self, *args, **options):
            fits.append(self)
            if len(fits) == 3:
                # Files that are open stay so: a file system in use can't be made read-only, another mount of it can.
                _mount("--bind", disk / "run", disk / "run")
                _mount("-o", "remount,ro,bind", disk / "run")
            return super().fit(*args, **options)

    monkeypatch.setitem(FAMILIES, "centroid", replace(CENTROID, build=Turning))
    assert "but the disk is read-only" in message(search, disk / "run", error=Unwritable)
    assert "but the disk is read-only" in message(search, disk / "run", error=Unwritable)
    assert len(prediction_files(disk / "run")) == 2 and len(fits) == 3
    assert emofuse.main(["search", "status", str(disk / "run")]) == 0
    assert emofuse.main(["search", "retry", str(disk / "run")]) == 1
    assert "but the disk is read-only" in capsys.readouterr().err
    subprocess.run(["umount", disk / "run"], check=True)
    search(disk / "run")
    _same(tmp_path / "whole", disk / "run")


def test_other_errors_are_told_as_they_are(search, tmp_path, monkeypatch):
    def broken(*args):
        raise FileNotFoundError("gone")

    monkeypatch.setattr("search.study.stage_jobs.entry_spec", broken)
    with pytest.raises(FileNotFoundError, match="gone"):
        search(tmp_path / "run")
