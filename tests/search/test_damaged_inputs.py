"""Features that are damaged in the middle of a search stop it; no configuration is blamed."""

from dataclasses import replace

import pytest
from small_world import CENTROID, FAMILIES, Centroid, message

from features.errors import MachineFault
from features.store.store import open_set
from search.cluster.workers import Workers
from search.run.predictions import prediction_files
from search.runner import run_search


@pytest.fixture
def search(small_run):
    """Searches four configurations on two partitions in this process."""
    stages = [{"stage": "clips", "entries": {"centroid": {"configurations": 4}}}]
    run = small_run(partitions=["train", "swap"], stages=stages)

    def go():
        workers = Workers(in_process=True)
        return run_search(run.recipe, clips=run.clips, store=run.store, out=run.path, workers=workers)

    go.run = run
    return go


def test_the_search_stops_and_goes_on_after_the_repair(search, monkeypatch):
    (path,) = search.run.store.glob("vec/*/data.arrow")
    values = open_set(search.run.store, "vec", search.run.table("clips"))["clips-train-1"].tobytes()
    whole, fits = path.read_bytes(), []

    class Damaging(Centroid):
        def fit(self, *args, **options):
            fits.append(self)
            if len(fits) == 3:
                path.unlink()  # what reads the old file goes on
                path.write_bytes(whole.replace(values, values[::-1]))
            return super().fit(*args, **options)

    monkeypatch.setitem(FAMILIES, "centroid", replace(CENTROID, build=Damaging))
    told = message(search, error=MachineFault)
    assert (
        "the features of clip 'clips-train-1' are not those" in told
        and "are read anew: `emofuse features extract " in told
    )
    assert told.endswith("Then run the same command: it goes on where this one stopped.")
    assert len(fits) == len(prediction_files(search.run.path)) == 3 and not list(search.run.outcomes())
    assert "is damaged" in message(search)
    path.write_bytes(whole)
    status = search()
    assert (status.entries[0].finished, status.entries[0].failed, len(fits)) == (8, 0, 8)
