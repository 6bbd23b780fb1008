import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from small_world import message

from features.errors import EmofuseError
from search.cluster.workers import Workers
from search.runner import run_search
from search.watch.dashboard import alone, serve_curves
from search.watch.journal_view import serve_journal


@pytest.fixture
def searched(small_run):
    run = small_run(partitions=["train"])
    run_search(run.recipe, clips=run.clips, store=run.store, out=run.path, workers=Workers(in_process=True))
    return run


@pytest.fixture
def get():
    """`get(address)` as a browser does, which keeps cookies."""
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())

    def read(address, **request):
        with browser.open(urllib.request.Request(address, **request), timeout=60) as answer:
            return answer.read()

    return read


def _turned_away(address):
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(address, timeout=60)
    return True


def test_the_journal_is_shown_but_not_written(searched, get):
    journal = searched.path / "study.journal"
    before = journal.read_bytes()
    opened = serve_journal(journal, "127.0.0.1", 0, "t0ken")
    address = opened.removesuffix("/dashboard/?token=t0ken")
    assert _turned_away(f"{address}/dashboard/") and _turned_away(f"{address}/api/studies") and get(opened)
    studies = json.loads(get(f"{address}/api/studies"))["study_summaries"]
    assert [study["study_name"].split()[0] for study in studies] == ["centroid"]
    page = get(f"{address}/dashboard/")
    assert b'[aria-label="delete study"]' in page and page.count(b"</head>") == 1, "its buttons aren't shown"
    with pytest.raises(urllib.error.HTTPError, match="405"):
        get(f"{address}/api/studies/{studies[0]['study_id']}", method="DELETE")
    assert journal.read_bytes() == before


def test_there_must_be_a_journal(tmp_path):
    journal = tmp_path / "study.journal"
    assert "no journal yet" in message(serve_journal, journal, "127.0.0.1", 0, "t", error=EmofuseError)


def test_tensorboard_is_served(tmp_path, get):
    address = serve_curves(tmp_path, "127.0.0.1", 0, "t0ken")
    plain = address.removesuffix("?token=t0ken")
    assert plain.startswith("http://127.0.0.1:") and _turned_away(plain) and _turned_away(f"{plain}data/runs")
    assert b"<title>TensorBoard" in get(address) and get(f"{plain}data/runs") == b"[]"


def test_only_one_dashboard_writes_the_curves(tmp_path):
    with alone(tmp_path) as first, alone(tmp_path) as second:
        assert first and not second


@pytest.mark.slow
def test_the_command_serves_all_three_until_it_is_told_to_stop(searched, get):
    command = [sys.executable, "-m", "emofuse", "search", "dashboard", str(searched.path), "--port", "0"]
    # The world's families aren't real ones, which the recipe must be read with.
    code = (
        f"import sys; sys.path.insert(0, 'tests/search'); import small_world, models.registry, features.sets\n"
        f"models.registry.families = lambda: small_world.FAMILIES\n"
        f"import emofuse; sys.exit(emofuse.main({command[3:]!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        lines = [process.stdout.readline() for _ in range(3)]
        for line in lines:
            (address,) = re.findall(r"http://127.0.0.1:\d+\S*", line)
            assert get(address) and _turned_away(address.partition("?")[0])
        time.sleep(0.1)
        process.send_signal(2)
        assert process.wait(30) == 0 and process.stdout.read().endswith("Closed.\n")
    finally:
        process.kill()
