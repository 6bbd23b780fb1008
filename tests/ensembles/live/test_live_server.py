"""Who may see the live page, and what its two buttons do."""

import http.client
import json
import os
import re
import signal
import socket
import time
import urllib.request
from dataclasses import asdict
from urllib.parse import urlsplit

import pytest

import emofuse
from ensembles.live import actions
from ensembles.live.refresh import Live, Shown, State
from ensembles.live.server import LivePage, serve_live
from features.disk.sealed import sealed_line
from features.errors import EmofuseError
from search.trial.heartbeats import SearchBeat


@pytest.fixture
def served(tmp_path):
    """A page that is served: `ask(method, path, **headers)` gives (status, headers, body)."""
    live = Live(tmp_path)
    spec = {"data": "</script>"}
    live.state = State("run", "two models", (Shown("now", "How it stands", "<h2>Now</h2>", {"c": spec}, "m1"),))
    address, close = serve_live(LivePage(live, lambda: [("Studies", "http://127.0.0.1:1/")]), "127.0.0.1", 0, "t0ken")
    place = urlsplit(address).netloc

    def ask(method, path, **headers):
        connection = http.client.HTTPConnection(place, timeout=30)
        connection.request(method, path, headers={name.replace("_", "-"): text for name, text in headers.items()})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()

    _, headers, _ = ask("GET", "/?token=t0ken")
    ask.cookie, ask.place, ask.run = headers["Set-Cookie"].partition(";")[0], place, tmp_path
    yield ask
    close()


def test_nothing_is_shown_without_the_token(served):
    for path in ("/", "/update", "/page.js", "/vega.js"):
        assert served("GET", path)[0] == 403
    assert served("POST", "/do/stop", Origin=f"http://{served.place}")[0] == 403
    status, headers, body = served("GET", "/", Cookie=served.cookie)
    assert status == 200 and "<h2>Now</h2>" in body and "Studies" in body
    assert "default-src 'none'" in headers["Content-Security-Policy"] and "unsafe-eval" not in str(headers)
    assert "\\u003c/script" in body, "a spec can't end the script element"


def test_another_name_of_this_machine_is_turned_away(served):
    for host in ("evil.example", f"evil.example:{served.place.partition(':')[2]}", "127.0.0.1.evil.example"):
        status, _, body = served("GET", "/", Host=host, Cookie=served.cookie)
        assert status == 403 and "loopback" in body
    assert served("GET", "/", Host="localhost:9000", Cookie=served.cookie)[0] == 200, "through a tunnel"


def test_buttons_are_pressed_on_the_page_itself(served, monkeypatch):
    pressed = []
    monkeypatch.setitem(__import__("ensembles.live.server", fromlist=["_ACTIONS"])._ACTIONS, "stop", pressed.append)
    for origin in ({}, {"Origin": "null"}, {"Origin": "http://evil.example"}, {"Origin": "http://127.0.0.1:1"}):
        assert served("POST", "/do/stop", Cookie=served.cookie, **origin)[0] == 403
    assert served("GET", "/do/stop", Cookie=served.cookie)[0] == 404 and not pressed
    assert served("POST", "/do/stop", Cookie=served.cookie, Origin=f"http://{served.place}")[0] == 200
    assert pressed == [served.run]
    for method, path, status in (("POST", "/do/delete", 404), ("DELETE", "/", 405), ("PUT", "/update", 405)):
        assert served(method, path, Cookie=served.cookie, Origin=f"http://{served.place}")[0] == status


def test_only_what_is_new_is_sent(served):
    _, _, body = served("GET", "/update?now=m0", Cookie=served.cookie)
    news = json.loads(body)
    assert [one["key"] for one in news["sections"]] == ["now"] and news["order"] == ["now"]
    _, _, body = served("GET", "/update?now=m1", Cookie=served.cookie)
    assert json.loads(body)["sections"] == []


def test_a_port_that_is_taken_is_an_error(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            serve_live(LivePage(Live(tmp_path)), "127.0.0.1", taken.getsockname()[1], "t")


def _searched_by(run, host, pid):
    (run / "running").mkdir(exist_ok=True)
    (run / "running" / "search.json").write_text(sealed_line(asdict(SearchBeat(host, pid, time.time()))))


def test_stop_does_what_ctrl_c_does(tmp_path, monkeypatch):
    with pytest.raises(EmofuseError, match="nothing to stop"):
        actions.stop(tmp_path)
    _searched_by(tmp_path, "elsewhere", 77)
    with pytest.raises(EmofuseError, match="process 77 on elsewhere: stop it there, by kill -INT 77"):
        actions.stop(tmp_path)
    _searched_by(tmp_path, socket.gethostname(), os.getpid())
    sent = []
    with pytest.raises(EmofuseError, match="has just ended"):
        actions.stop(tmp_path)
    monkeypatch.setattr("search.trial.heartbeats.is_locked", lambda run: True)
    monkeypatch.setattr(actions.os, "kill", lambda *what: sent.append(what))
    assert "running epochs are done" in actions.stop(tmp_path)
    assert sent[-1] == (os.getpid(), signal.SIGINT)
    (tmp_path / ".stop").touch()
    assert "stopping already" in actions.stop(tmp_path) and sent.count((os.getpid(), signal.SIGINT)) == 1


def test_retry_says_how_many(tmp_path, monkeypatch):
    from search.study import retries

    monkeypatch.setattr(retries, "retry_failed", lambda run: retries.Queued((1, 2), ()))
    assert actions.retry(tmp_path).startswith("2 failed trials are queued again")
    monkeypatch.setattr(retries, "retry_failed", lambda run: retries.Queued((), ()))
    assert actions.retry(tmp_path) == "No failed trial is queued again."
    _searched_by(tmp_path, "elsewhere", 77)
    with pytest.raises(EmofuseError, match="A search works on this run; stop it first"):
        actions.retry(tmp_path)


def test_imported_predictions_have_a_live_page_alone(write_run, monkeypatch, capsys):
    run, seen = write_run(M=2), []

    def look(live):
        (address,) = re.findall(r"http://\S+", capsys.readouterr().out)
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        seen.append(opener.open(address, timeout=30).read().decode())
        live.stop()

    monkeypatch.setattr("ensembles.cli.dashboard._wait", look)
    assert emofuse.main(["search", "dashboard", str(run), "--port", "0"]) == 0
    (page,) = seen
    assert "Models and ensembles" in page and "optuna" not in page and "How the search stands" not in page
    assert emofuse.main(["search", "dashboard", str(run / "trials"), "--port", "0"]) != 0
    assert "emofuse search run" in capsys.readouterr().err
