"""The live page of a run on an object store: an S3 server on loopback, which tells what it is asked for."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import asdict

import pytest
from object_store import object_store
from pyarrow.fs import FileSelector
from small_world import Centroid, corpus, put_in_place, recipe_file

from ensembles.live import actions
from ensembles.live.refresh import Live
from ensembles.live.server import LivePage
from features.disk.sealed import sealed_line
from features.disk.stores import open_store
from features.errors import EmofuseError
from search.cluster.workers import Workers
from search.recipe.reading import read_recipe
from search.run import remote as remote_module
from search.run.layout import Layout, Outcome
from search.run.remote import Remote, push_all, remote_of, search_path, watched_path
from search.runner import run_search
from search.study.retries import retry_failed
from search.trial.heartbeats import Heartbeat, SearchBeat


@pytest.fixture(scope="module")
def store():
    with object_store() as store:
        yield store


@pytest.fixture
def uri(store, tmp_path, tmp_path_factory, monkeypatch):
    """A run on the store, called by a URI that holds credentials."""
    monkeypatch.setenv("EMOFUSE_CACHE", str(tmp_path_factory.mktemp("mirrors")))
    monkeypatch.setattr(remote_module, "_open", {})
    return store.uri(tmp_path.name).replace("s3://", "s3://KEY:HIDDEN@")


@pytest.fixture
def put(uri):
    """Put files on the store as a worker does: `put(name=text)`, None takes one away."""
    remote = Remote(uri, "worker")

    def write(files):
        for name, text in files.items():
            path = remote.local / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True) if text is None else path.write_text(text)
        remote.push(*files)

    return write


@pytest.fixture
def copied(run, uri):
    """The run that is under way, on the store; it has models and activations, too."""
    remote = Remote(uri, "worker")
    (run / "models" / "m").mkdir(parents=True)
    (run / "models" / "m" / "weights.bin").write_bytes(b"0" * 1000)
    shutil.copytree(run, remote.local, dirs_exist_ok=True)
    remote.push()
    return uri


def html(live, key):
    (found,) = [one.html for one in live.state.sections if one.key == key]
    return found


def failure(letter):
    failed = Outcome(letter * 64, letter * 64, "failed", "Its loss is NaN.", "e0", "e0", "train", kind="diverged")
    return failed


def test_a_look_asks_little_and_shows_what_came_and_went(copied, put, store):
    live = Live(watched_path(copied))
    live.look()
    assert "6 of 16" in html(live, "now") and not (live.run / "models").exists()
    store.requests.clear()
    live.look()
    assert len(store.requests) <= 3 and all("list-type=2" in line for line in store.requests), "a list for each folder"
    curve = tuple({"epoch": n, "loss": 1 / n, "accuracy": 0.1 * n} for n in (1, 2, 3))
    beat = Heartbeat("c" * 64, "d" * 64, "e0", "train", socket.gethostname(), os.getpid(), time.time(), 9, {}, curve)
    put({f"running/{beat.trial_key}.json": sealed_line(asdict(beat))})
    store.requests.clear()
    live.look()
    assert "3 of 9" in html(live, "now")
    assert sum("list-type=2" not in line for line in store.requests) == 2, "one object, looked up and fetched"
    there = Layout(Remote(copied, "worker").local)
    there.write_outcome(failure("f"), "Traceback: far away")
    kept = {
        f"trials/{'f' * 64}{end}": (there.path / f"trials/{'f' * 64}{end}").read_text() for end in (".json", ".txt")
    }
    put({f"running/{beat.trial_key}.json": None, **kept})
    live.look()
    assert "Traceback: far away" in html(live, "failures") and "7 of 16" in html(live, "now")
    assert "Running now" not in html(live, "now")
    put(dict.fromkeys(kept))
    live.look()
    assert "failures" not in [one.key for one in live.state.sections] and "6 of 16" in html(live, "now")


def test_a_page_writes_nothing_back_and_holds_no_credentials(copied, store):
    live = Live(watched_path(copied))
    live.look()
    (live.run / "tensorboard").mkdir()
    (live.run / "tensorboard" / "events").write_text("derived")
    live.look()
    assert (live.run / "tensorboard" / "events").exists() and (live.run / "fused.jsonl").exists(), "kept for the page"
    store.requests.clear()
    push_all()
    assert store.requests == []
    page = LivePage(live)
    for path in ("/", "/update"):
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": ""}
        told = b"".join(page(environ, lambda *start: None)).decode()
        assert "HIDDEN" not in told and "KEY:" not in told
    assert "emofuse report &#39;s3://***@bucket/" in html(live, "reproduce")
    assert not [p for p in live.run.rglob("*") if p.is_file() and b"HIDDEN" in p.read_bytes()]


def test_a_store_that_is_away_is_told_on_the_page(copied, monkeypatch, capsys):
    live = Live(watched_path(copied))
    live.look()
    before = live.state

    def away(self, *_):
        raise OSError("When listing objects in s3://KEY:HIDDEN@bucket:\nCURL error, could not connect")

    monkeypatch.setattr(Remote, "follow", away)
    live.look()
    told = live.state.newer({})["trouble"]
    assert told == "When listing objects in s3://***@bucket: CURL error, could not connect"
    assert live.state.sections == before.sections and "HIDDEN" not in capsys.readouterr().err
    monkeypatch.undo()
    live.look()
    assert live.state.trouble == ""


@pytest.fixture
def world(monkeypatch):
    put_in_place(monkeypatch)


@pytest.fixture
def failed(world, uri, tmp_path, monkeypatch):
    """A search on the store whose two trials fail; `failed()` searches again."""

    def broken(*_, **options):
        raise RuntimeError("no such luck")

    fit = Centroid.fit
    monkeypatch.setattr(Centroid, "fit", broken)
    clips, recipe = corpus(tmp_path), read_recipe(recipe_file(tmp_path))

    def go():
        out = search_path(uri)
        return run_search(recipe, clips=clips, store=tmp_path / "store", out=out, workers=Workers(in_process=True))

    go.uri = uri
    assert go().entries[0].failed == 2
    monkeypatch.setattr(Centroid, "fit", fit)
    return go


def test_retry_queues_failed_trials_on_the_store(failed, tmp_path, monkeypatch):
    monkeypatch.setenv("EMOFUSE_CACHE", str(tmp_path / "elsewhere"))
    live = Live(watched_path(failed.uri))
    live.look()
    assert html(live, "failures").count("no such luck") >= 2
    assert actions.retry(live.run).startswith("2 failed trials are queued again")
    live.look()
    assert "failures" not in [one.key for one in live.state.sections] and "0 of 2" in html(live, "now")
    assert actions.retry(live.run) == "No failed trial is queued again."
    monkeypatch.setenv("EMOFUSE_CACHE", str(tmp_path / "third"))
    entry = failed().entries[0]
    assert (entry.finished, entry.failed) == (2, 0)
    live.look()
    assert "2 of 2" in html(live, "now")


def test_nothing_is_queued_while_a_search_works_on_the_run(failed, put, monkeypatch):
    run = watched_path(failed.uri)
    put({"running/search.json": sealed_line(asdict(SearchBeat("elsewhere", 7, time.time())))})
    remote_of(run).follow()
    with pytest.raises(EmofuseError, match="A search works on this run; stop it first"):
        actions.retry(run)
    monkeypatch.setattr("search.run.lease.LEASE_S", 0.4)
    driver = Remote(failed.uri, "driver")
    monkeypatch.setattr("search.run.lease.BEAT_S", 0.1)
    with driver.held("nothing"), pytest.raises(EmofuseError, match=r"s3://\*\*\*@bucket.* another search") as error:
        retry_failed(search_path(failed.uri))
    assert "HIDDEN" not in str(error.value)


def test_a_driver_on_any_machine_is_asked_to_stop_once(copied, put, monkeypatch):
    monkeypatch.setattr("search.run.lease.BEAT_S", 0.05)
    run, heard = watched_path(copied), []
    monkeypatch.setattr("search.run.lease.os.kill", lambda *what: heard.append(what))
    with pytest.raises(EmofuseError, match="nothing to stop"):
        actions.stop(run)
    driver = Remote(copied, "driver")
    for host, pid, expected in (("elsewhere", os.getpid(), []), (socket.gethostname(), os.getpid(), [signal.SIGINT])):
        put({"running/search.json": sealed_line(asdict(SearchBeat(host, pid, time.time())))})
        remote_of(run).follow()
        with driver.held("nothing"):
            told = [actions.stop(run), actions.stop(run)]
            until(lambda: "driver.json" in _names(copied), 5)
            time.sleep(0.4)
            told.append(actions.stop(run))
            time.sleep(0.4)
        assert [number for _, number in heard if number] == expected
        assert all("looks within ten seconds" in text for text in told)
    assert not {"stop.json", "driver.json"} & _names(copied)


def _names(uri):
    fs, base = open_store(uri)
    return {info.base_name for info in fs.get_file_info(FileSelector(base))}


_SEARCHED = """
import sys, time
sys.path.insert(0, "tests/search")
import small_world, models.registry
small_world.put_in_place(__import__("pytest").MonkeyPatch())
fit = small_world.Centroid.fit
def slowly(self, *given, report=None, **options):
    def heard(*told):
        time.sleep(0.2)
        report and report(*told)
    return fit(self, *given, report=heard, **options)
small_world.Centroid.fit = slowly
import emofuse
sys.exit(emofuse.main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_the_commands_on_s3_show_new_trials_within_five_seconds_and_stop(uri, world, tmp_path):
    """Two real commands: a search whose epochs take a moment, and the page that watches and stops it."""
    clips, recipe = corpus(tmp_path), recipe_file(tmp_path, **_MANY)
    search = ["search", "run", str(recipe), "--clips", str(clips), "--store", str(tmp_path / "store"), "-o", uri]
    python = [sys.executable, "-c", _SEARCHED]
    searching = subprocess.Popen([*python, *search, "--in-process"], stderr=subprocess.PIPE, text=True)
    watching = None
    try:
        until(lambda: Remote(uri, "worker").top().count("predictions") == 1, 60)
        command = [*python, "search", "dashboard", uri, "--port", "0"]
        watching = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        (address,) = re.findall(r"http://\S*", watching.stdout.readline())
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        opener.open(address, timeout=30).read()
        place = address.partition("?")[0]

        def told(key="now"):
            news = json.loads(opener.open(f"{place}update", timeout=30).read())
            assert "HIDDEN" not in json.dumps(news)
            return next((one["html"] for one in news["sections"] if one["key"] == key), "")

        def finished():
            return int(re.search(r"(\d+) finished", told())[1])

        assert "A search works on this run" in told()
        for _ in range(3):
            before, there = finished(), len(_predictions(uri))
            until(lambda there=there: len(_predictions(uri)) > there, 60)
            until(lambda before=before: finished() > before, 5)
        press = urllib.request.Request(f"{place}do/stop", method="POST", headers={"Origin": place.rstrip("/")})
        assert "asked to stop" in json.loads(opener.open(press, timeout=30).read())["told"]
        assert searching.wait(30) == 130 and "Stopping when the running epochs are done" in searching.stderr.read()
        until(lambda: "No search works on this run" in told(), 5)
        watching.send_signal(signal.SIGINT)
        assert watching.wait(30) == 0
    finally:
        searching.kill()
        if watching is not None:
            watching.kill()


_MANY = {"stages": [{"stage": "clips", "entries": {"centroid": {"configurations": 60}}}], "asha": None}


def _predictions(uri):
    return [name for name, _ in Remote(uri, "worker")._list("predictions")]


def until(true, seconds):
    end_s = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end_s, f"not within {seconds} s"
        time.sleep(0.1)
