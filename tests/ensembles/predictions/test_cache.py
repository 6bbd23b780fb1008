"""The cache of a run's prediction files: same results, never stale, rebuilt when files come, go or change."""

import os
import time

import numpy as np
import pytest

from ensembles.predictions import cache
from ensembles.predictions import scan as scanning
from ensembles.predictions.scan import scan

ROWS = [(f"clip{n}", "g", "val", "held_out", "ab"[n % 2]) for n in range(4)]


@pytest.fixture
def run(tmp_path, write_trial, monkeypatch):
    """A run of 5 trials whose cache is written at the first look, with a list of the files that are read."""
    monkeypatch.setattr(scanning, "_FEW", 0)
    rng = np.random.default_rng(0)
    for m in range(5):
        _age(write_trial(ROWS, rng.dirichlet([1, 1], 4), config=m, valid=[True, True, m % 2 == 0, True]))
    read, plain = [], scanning.read_files

    def told(paths, shared, known):
        read.extend(path.name for path in paths.values())
        return plain(paths, shared, known)

    monkeypatch.setattr(scanning, "read_files", told)
    return tmp_path, read


def _age(path, seconds=60):
    os.utime(path, ns=(time.time_ns() - int(seconds * 1e9),) * 2)
    return path


def same(ones, others):
    """Whether the trials are equal in all that they hold."""
    return [t.path for t in ones] == [t.path for t in others] and all(
        one.footer == other.footer
        and one.rows.ids == other.rows.ids
        and one.rows.labels == other.rows.labels
        and one.held_out_accuracy == other.held_out_accuracy
        and all((a == b).all() for a, b in zip(one.scores(), other.scores(), strict=True))
        for one, other in zip(ones, others, strict=True)
    )


def test_reads_each_file_once(run):
    folder, read = run
    first = scan(folder)
    assert len(read) == 5 and (folder / ".predictions.cache").exists()
    second = scan(folder)
    assert len(read) == 5 and same(first, second)
    assert len({id(trial.rows) for trial in second}) == 1


def test_new_and_changed_files_are_read_and_gone_ones_forgotten(run, write_trial):
    folder, read = run
    scan(folder)
    read.clear()
    new = write_trial(ROWS, np.full((4, 2), 0.5), config=7)
    changed = write_trial(ROWS, np.full((4, 2), 0.5), config=1)
    trials = {trial.path: trial for trial in scan(folder)}
    assert sorted(read) == sorted([new.name, changed.name]) and len(trials) == 6
    assert (trials[str(changed)].scores()[0] == 0.5).all() and (trials[str(new)].scores()[0] == 0.5).all()
    changed.unlink()
    assert str(changed) not in {trial.path for trial in scan(folder)}


def test_a_file_that_just_changed_is_not_cached(run, write_trial):
    folder, read = run
    new = write_trial(ROWS, np.full((4, 2), 0.5), config=7)
    scan(folder)
    read.clear()
    scan(folder)
    assert read == [new.name]
    _age(new)
    scan(folder)
    read.clear()
    scan(folder)
    assert read == []


@pytest.mark.parametrize("broken", [b"", b"ARROW1\0\0nonsense", None])
def test_a_broken_or_older_cache_is_made_again(run, broken, monkeypatch):
    folder, read = run
    first, path = scan(folder), folder / ".predictions.cache"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if broken is None else broken)
    read.clear()
    assert same(scan(folder), first) and len(read) == 5
    assert same(scan(folder), first) and len(read) == 5
    monkeypatch.setattr(cache, "_MAGIC", b"emofuse cache 3\n")
    assert same(scan(folder), first) and len(read) == 10


def test_a_run_folder_that_cannot_be_written_works_without(run, monkeypatch):
    folder, read = run

    def fails(path, sync=True):
        raise PermissionError(path)

    monkeypatch.setattr(cache, "replacing", fails)
    assert same(scan(folder), scan(folder)) and len(read) == 10
