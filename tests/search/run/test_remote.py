"""Runs on an object store: on an S3 server of its own on loopback, and on a `file://` URI where that is enough."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from object_store import object_store
from small_world import forecasts
from test_runner import _recipe, _search, data  # noqa: F401  the fixture and the small searches

from features.errors import EmofuseError, WrongUse
from models import pulse
from search.cluster.workers import Workers
from search.recipe.reading import read_recipe
from search.run import lease
from search.run import remote as remote_module
from search.run.folder import RunFolder
from search.run.predictions import prediction_files
from search.run.remote import Remote, mirrored, remote_of, run_path, search_path, shown
from search.study.plan import entry_spec
from search.trial import remote_trial


@pytest.fixture(autouse=True)
def _own_mirrors(tmp_path, monkeypatch):
    monkeypatch.setenv("EMOFUSE_CACHE", str(tmp_path / "mirrors"))
    monkeypatch.setattr(remote_module, "_open", {})


@pytest.fixture
def uri(tmp_path):
    (tmp_path / "store").mkdir()
    return f"file://{tmp_path / 'store' / 'run'}"


@pytest.fixture(scope="module")
def s3():
    """The URI of a run in an empty bucket, with the credentials in the environment."""
    with object_store() as store:
        yield store.uri


def objects(uri):
    remote = Remote(uri, "reader")
    return {name for name, _ in remote._list("")}


@pytest.mark.parametrize("workers", ["process", "ray"])
def test_a_search_on_s3_leaves_everything_there_and_continues_elsewhere(
    data,  # noqa: F811
    s3,
    tmp_path,
    monkeypatch,
    workers,
    capfd,
):
    place, recipe = s3(workers).replace("s3://", "s3://KEY:HIDDEN@"), _recipe(tmp_path, {"pool": {"configurations": 1}})
    some = {"process": lambda: Workers(in_process=True), "ray": lambda: Workers(cpus=2)}[workers]
    lines = forecasts(monkeypatch)
    status = _search(data, recipe, search_path(place), workers=some())
    assert status.entries[0].finished == 2
    assert lines[0].startswith("1 trial is left, "), "counted though the predictions lie on the store"
    found = objects(place)
    assert sum(name.startswith("predictions/") for name in found) == 2
    assert {"run.json", "recipe.yaml", "study.journal"} <= found
    assert not {name for name in found if name.startswith("checkpoints/") or name == "driver.json" or ".tune" in name}
    # Another machine has no mirror yet.
    monkeypatch.setenv("EMOFUSE_CACHE", str(tmp_path / "elsewhere"))
    before = {path.stem for path in prediction_files(run_path(place))}
    status = _search(data, _recipe(tmp_path, {"pool": {"configurations": 2}}), search_path(place), workers=some())
    assert status.entries[0].finished == 4
    assert before < {path.stem for path in prediction_files(run_path(place))}
    # The credentials are in no file of the run (here or there), and nothing told them.
    assert "HIDDEN" not in shown(run_path(place)) and "HIDDEN" not in "".join(capfd.readouterr())
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"HIDDEN" in path.read_bytes()]
    with pytest.raises(WrongUse) as error:
        run_path(place.replace("bucket", "no-such-bucket", 1).replace("http", "nothing"))
    assert "s3://***@no-such-bucket" in str(error.value)


def test_commands_read_a_uri_and_write_back(data, uri, tmp_path, capsys):  # noqa: F811
    import emofuse

    _search(data, _recipe(tmp_path), search_path(uri))
    assert emofuse.main(["search", "status", uri, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["entries"][0]["finished"] == 4
    assert emofuse.main(["ensemble", "fit", uri, "--method", "uniform", "--name", "plain"]) == 0
    assert "ensembles/plain/ensemble.json" in objects(uri)


def _one_trial(data, uri, tmp_path):  # noqa: F811
    """A trial of a run that was just begun at `uri`."""
    recipe = _recipe(tmp_path, {"pool": {"configurations": 1, "max_epochs": 3}})
    out = search_path(uri)
    run = RunFolder.prepare(out, read_recipe(recipe, data / "store"), data / "clips.parquet", data / "store")
    remote_of(out).push()
    entry = run.recipe.stages[0].entries["pool"]
    point = entry.complete(
        {name: p.values[0] if hasattr(p, "values") else p.low for name, p in entry.effective_space().items()}
    )
    return entry_spec(run, "clips", entry).at(point, "train")


@pytest.mark.parametrize(("mark", "stops"), [("pool", True), (".every", True), ("other", False)])
def test_a_trial_hears_after_an_epoch_that_it_shall_stop(data, uri, tmp_path, monkeypatch, mark, stops):  # noqa: F811
    spec, heard = _one_trial(data, uri, tmp_path), []

    def training(spec, report):
        for epoch in (1, 2):
            if epoch == 2:
                Remote(uri, "driver").mark(f".stopping/{mark}")
            report(epoch, {})
            heard.append(pulse.asked_to_stop())
        raise pulse.Stopped

    monkeypatch.setattr(remote_trial, "_ASK_EVERY_S", 0.0)
    monkeypatch.setattr(remote_trial, "attempt_trial", training)
    with pytest.raises(pulse.Stopped):
        remote_trial.attempt_remote_trial(uri, spec)
    pulse.forget_stop()
    assert heard == [False, stops]
    remote = Remote(uri, "driver")
    remote.delete(".stopping")
    assert not remote.marked(".stopping") and ".stopping" not in str(objects(uri))


def test_a_checkpoint_follows_its_trial_to_another_node(data, uri, tmp_path, monkeypatch):  # noqa: F811
    spec, seen = _one_trial(data, uri, tmp_path), []

    def dying(spec, report):
        folder = Path(spec.run) / "checkpoints" / spec.trial_key
        folder.mkdir(parents=True, exist_ok=True)
        seen.append(sorted(path.name for path in folder.iterdir()))
        (folder / "training.pt").write_text("half way")
        report(1, {})
        raise SystemExit

    monkeypatch.setattr(remote_trial, "attempt_trial", dying)
    for cache in ("first", "second"):
        monkeypatch.setenv("EMOFUSE_CACHE", str(tmp_path / cache))
        with pytest.raises(SystemExit):
            remote_trial.attempt_remote_trial(uri, spec, lambda epoch, metrics: None)
    assert seen == [[], ["training.pt"]]


def test_what_the_store_lost_is_lost_in_the_mirror(uri):
    remote = Remote(uri, "driver")
    (remote.local / "trials").mkdir()
    (remote.local / "trials" / "a.json").write_text("{}")
    remote.push()
    assert objects(uri) == {"trials/a.json"}
    remote.delete("trials/a.json")
    local = mirrored(uri, "driver")
    assert not (local / "trials" / "a.json").exists()


def test_what_is_gone_from_the_store_is_gone_at_the_next_look(uri):
    """As `search status --watch` looks: the file of a trial that ran goes when it ends."""
    worker, reader = Remote(uri, "worker"), Remote(uri, "reader")
    (worker.local / "running").mkdir()
    (worker.local / "running" / "a.json").write_text("{}")
    worker.push()
    reader.pull()
    reader.forget_stale()
    assert (reader.local / "running" / "a.json").exists()
    (worker.local / "running" / "a.json").unlink()
    worker.push()
    reader.pull()
    reader.forget_stale()
    assert not (reader.local / "running" / "a.json").exists()
    reader.push()
    assert objects(uri) == set()


def test_many_files_are_told_while_they_travel(uri, monkeypatch, capsys):
    monkeypatch.setattr(remote_module, "_MANY", 3)
    worker, reader = Remote(uri, "worker"), Remote(uri, "reader")
    for name in "abcd":
        (worker.local / f"{name}.json").write_text("{}")
    worker.push("a.json", "b.json")
    assert capsys.readouterr().err == ""
    worker.push()
    reader.pull()
    assert "files of the run: 4 of 4 after 0 s" in capsys.readouterr().err
    assert {path.name for path in reader.local.iterdir()} == {f"{name}.json" for name in "abcd"}


def test_only_changes_travel(uri, monkeypatch):
    remote = Remote(uri, "driver")
    (remote.local / "a.json").write_text("1")
    (remote.local / "b.json").write_text("1")
    remote.push()
    sent = []
    monkeypatch.setattr(remote, "_write", lambda name, content: sent.append(name))
    (remote.local / "b.json").write_text("22")
    remote.push()
    assert sent == ["b.json"]


def test_what_is_removed_here_is_removed_there(uri):
    remote = Remote(uri, "driver")
    (remote.local / "trials").mkdir()
    for name in "ab":
        (remote.local / "trials" / f"{name}.json").write_text("{}")
    remote.push()
    (remote.local / "trials" / "a.json").unlink()
    remote.push("checkpoints")
    assert objects(uri) == {"trials/a.json", "trials/b.json"}
    remote.push()
    assert objects(uri) == {"trials/b.json"}


def test_a_journal_is_put_without_its_last_half_line(uri):
    remote = Remote(uri, "driver")
    (remote.local / "study.journal").write_bytes(b'{"op": 1}\n{"op"')
    remote.push()
    reader = Remote(uri, "reader")
    reader.pull()
    assert (reader.local / "study.journal").read_bytes() == b'{"op": 1}\n'


def test_a_second_driver_is_kept_away_while_the_first_writes(uri, monkeypatch):
    monkeypatch.setattr(lease, "BEAT_S", 0.2)
    monkeypatch.setattr(lease, "LEASE_S", 3.0)
    monkeypatch.setattr(lease, "_dead_here", lambda text: False)
    first, second = Remote(uri, "driver"), Remote(uri, "driver")
    told = rf"another search \(process {os.getpid()} on .*\) works on"
    with first.held(), pytest.raises(EmofuseError, match=told), second.held():
        pass
    with second.held():
        pass


def test_what_is_waited_for_is_put_before_the_next_beat(uri):
    """A beat is ten seconds away; the trial's end is not."""
    remote = Remote(uri, "driver")
    with remote.held():
        (remote.local / "trials").mkdir()
        for name in ("a", "b"):
            (remote.local / "trials" / f"{name}.json").write_text("{}")
        remote.soon("trials/a.json", "trials/gone.json")
        until_s = time.monotonic() + 5
        while "trials/a.json" not in objects(uri) and time.monotonic() < until_s:
            time.sleep(0.02)
        assert objects(uri) == {"trials/a.json"}
    assert objects(uri) == {"trials/a.json", "trials/b.json"}


def test_a_dead_drivers_run_is_taken_over_at_once(uri):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    remote = Remote(uri, "driver")
    remote._write("driver.json", f"{socket.gethostname()}\n{gone.pid}\n0".encode())
    started = time.monotonic()
    with remote.held():
        assert time.monotonic() - started < 1
    assert objects(uri) == set()


def test_a_damaged_lease_may_be_a_living_drivers(uri, monkeypatch):
    monkeypatch.setattr(lease, "LEASE_S", 0.1)
    remote = Remote(uri, "driver")
    with remote.held():
        good = (Path(urlsplit(uri).path) / "driver.json").read_text()
    assert lease._told(good) == (socket.gethostname(), os.getpid())
    for text in ("", "{", good.replace(str(os.getpid()), str(os.getpid() + 1)), "host\nx\n0", "\ufffd"):
        assert lease._told(text) is None
        remote._write("driver.json", text.encode())
        with remote.held():
            pass


@pytest.mark.parametrize("place", ["s4://bucket/run", "s3://no bucket/run"])
def test_an_unknown_place_is_said(place):
    with pytest.raises(WrongUse, match=f"{place}: expected a place that can be reached, such as s3://bucket/run"):
        run_path(place)


def test_a_path_stays_a_path(tmp_path):
    assert search_path(str(tmp_path / "run")) == tmp_path / "run"
    assert remote_of(tmp_path / "run") is None
