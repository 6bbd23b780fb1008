"""A turned bit, a cut or an empty file: told in one sentence, or without effect on any number."""

import json
import os
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from damage import cuts, flips

from ensembles.comparison.leaderboard import leaderboard
from ensembles.predictions import scan as scanning
from ensembles.predictions.exchange import import_long
from ensembles.predictions.scan import scan
from features.errors import DamagedFile, EmofuseError
from search.run.continuous_predictions import (
    ContinuousPredictions,
    Track,
    checked_footer,
    read_continuous_predictions,
    write_continuous_predictions,
)
from search.run.predictions import FOOTER, Footer, read_footer, read_predictions

ROWS = [(f"clip{n}", f"g{n % 3}", "val", "held_out", "ab"[n % 2]) for n in range(12)]
REMEDY = (
    "; run the same `emofuse search run` again, which trains the trial anew (or, if the file was imported, import it "
    "again), or remove the file."
)


@pytest.fixture
def classes(write_trial):
    return write_trial(ROWS, np.random.default_rng(0).dirichlet([1, 1], 12))


@pytest.fixture
def continuous(tmp_path):
    footer = Footer("k" * 64, "c" * 64, "f", "e", {}, "train", (), 0, 1, 1, {"ccc": 0.5}, dimensions=("arousal",))
    y = np.random.default_rng(0).normal(size=(20, 1)).astype(np.float32)
    tracks = tuple(Track(f"r{n}", "g", "val", "held_out", True, np.arange(20) / 10, y, y + n) for n in range(3))
    return write_continuous_predictions(tmp_path, ContinuousPredictions(footer, tracks))


@pytest.fixture
def imported(tmp_path):
    lines = [f"one,c{n},{'ab'[n % 2]},val,{0.25 + n / 40},{0.75 - n / 40}" for n in range(8)]
    (tmp_path / "x.csv").write_text("\n".join(["model,sample_id,label,split,p_a,p_b", *lines]))
    import_long(tmp_path / "x.csv", tmp_path)
    (path,) = tmp_path.glob("predictions/*/*.parquet")
    return path


READERS = {
    "classes": (read_predictions, read_footer, checked_footer, lambda path: scan(path.parents[2])),
    "continuous": (read_continuous_predictions, read_footer, checked_footer),
    "imported": (read_predictions, lambda path: leaderboard(path.parents[2])),
}


@pytest.mark.parametrize("kind", READERS)
def test_every_changed_byte_is_told_by_every_reader(request, kind):
    path = request.getfixturevalue(kind)
    whole = path.read_bytes()
    for data in (b"", *(flipped for _, flipped in flips(whole)), *cuts(whole), whole + b"\0"):
        path.write_bytes(data)
        for read in READERS[kind]:
            with pytest.raises(DamagedFile) as told:
                read(path)
            text = str(told.value)
            assert text.startswith(f"{path}: expected a prediction file, but ") and text.endswith(REMEDY), text
            assert "\n" not in text
    path.write_bytes(whole)
    for read in READERS[kind]:
        read(path)


def test_all_damaged_files_are_told_at_once(write_trial, tmp_path):
    paths = sorted(write_trial(ROWS, np.full((12, 2), 0.5), config=m) for m in range(5))
    for path in paths[:4]:
        path.write_bytes(b"x")
    with pytest.raises(DamagedFile) as told:
        scan(tmp_path)
    first, *lines = str(told.value).splitlines()
    assert first == "4 prediction files can't be used (and 1 more):"
    assert [line.split(":")[0] for line in lines] == [str(path) for path in paths[:3]]


@pytest.fixture
def cached(write_trial, tmp_path, monkeypatch):
    """A run whose leaderboard comes from the cache, and that cache."""
    monkeypatch.setattr(scanning, "_FEW", 0)
    for m in range(4):
        path = write_trial(ROWS, np.random.default_rng(m).dirichlet([1, 1], 12), config=m, valid=[True] * 11 + [m > 1])
        os.utime(path, ns=(time.time_ns() - 10**10,) * 2)
    leaderboard(tmp_path)
    return tmp_path, tmp_path / ".predictions.cache"


def test_a_damaged_cache_has_no_effect(cached):
    run, path = cached
    whole, first = path.read_bytes(), leaderboard(run)
    for data in (*(flipped for _, flipped in flips(whole)), *cuts(whole, 20)):
        path.write_bytes(data)
        assert leaderboard(run) == first
    assert path.read_bytes() == whole, "it was made again"


def test_a_copied_run_is_found_in_the_cache_by_its_digests(cached, monkeypatch, tmp_path):
    run, _ = cached
    first = leaderboard(run)
    for path in run.glob("predictions/*/*.parquet"):
        os.utime(path, ns=(1, 1))
    monkeypatch.setattr("ensembles.predictions.reading.read_rows", None)  # nothing is decoded
    assert leaderboard(run) == first


def test_a_file_of_the_version_without_seals_is_read_and_its_rows_are_checked(classes):
    plain = read_predictions(classes)
    table = pq.read_table(classes, partitioning=None)
    footer = json.loads(pq.read_schema(classes).metadata[FOOTER]) | {"schema_version": 1}

    def write(table):
        pq.write_table(table.replace_schema_metadata({FOOTER: json.dumps(footer)}), classes)

    write(table)
    again = read_predictions(classes)
    assert again.clip_id == plain.clip_id and (again.probabilities == plain.probabilities).all()
    assert again.footer.schema_version == 1 and checked_footer(classes) == again.footer
    write(table.set_column(table.column_names.index("role"), "role", pa.array(["held-out"] * 12)))
    assert read_footer(classes)
    for read in READERS["classes"][2:]:
        with pytest.raises(DamagedFile, match="a role is one of fit, held_out, test, but got held-out; run the same"):
            read(classes)


def test_a_changed_byte_of_a_file_without_a_seal_is_no_traceback(classes):
    table = pq.read_table(classes, partitioning=None)
    footer = json.loads(pq.read_schema(classes).metadata[FOOTER]) | {"schema_version": 1}
    pq.write_table(table.replace_schema_metadata({FOOTER: json.dumps(footer)}), classes)
    whole, told = classes.read_bytes(), 0
    for _, data in flips(whole, 300):
        classes.write_bytes(data)
        try:
            read_predictions(classes)
        except EmofuseError as error:
            assert str(error).startswith(f"{classes}: ")
            told += 1
    assert told > 100
    footer["classes"] = ["a", "a"]
    pq.write_table(table.replace_schema_metadata({FOOTER: json.dumps(footer)}), classes)
    with pytest.raises(DamagedFile, match="its footer has a name twice in a, a; run the same"):
        read_footer(classes)


def test_a_sealed_file_whose_seal_was_taken_away_is_told(classes):
    table, metadata = pq.read_table(classes, partitioning=None), pq.read_schema(classes).metadata
    pq.write_table(table.replace_schema_metadata({FOOTER: metadata[FOOTER]}), classes)
    with pytest.raises(DamagedFile, match="but its seal is missing"):
        read_footer(classes)


def test_pages_have_the_checksums_that_other_tools_verify(classes):
    whole = classes.read_bytes()
    place = pq.ParquetFile(classes).metadata.row_group(0).column(6).data_page_offset
    assert pq.ParquetFile(classes).metadata.row_group(0).column(6).path_in_schema == "p_a"
    classes.write_bytes(whole[: place + 60] + bytes([whole[place + 60] ^ 1]) + whole[place + 61 :])
    with pytest.raises(OSError, match="CRC checksum verification failed"):
        pq.read_table(classes, partitioning=None, page_checksum_verification=True)
