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
from search.watch.dashboard import _alone, serve_curves
from search.watch.journal_view import serve_journal


@pytest.fixture
def searched(small_run):
    run = small_run(partitions=["train"])
    run_search(run.recipe, clips=run.clips, store=run.store, out=run.path, workers=Workers(in_process=True))
    return run


def _get(address, **request):
    with urllib.request.urlopen(urllib.request.Request(address, **request), timeout=60) as answer:
        return answer.read()


def test_the_journal_is_shown_but_not_written(searched):
    journal = searched.path / "study.journal"
    before = journal.read_bytes()
    address = serve_journal(journal, "127.0.0.1", 0).removesuffix("/dashboard/")
    studies = json.loads(_get(f"{address}/api/studies"))["study_summaries"]
    assert [study["study_name"].split()[0] for study in studies] == ["centroid"]
    with pytest.raises(urllib.error.HTTPError, match="405"):
        _get(f"{address}/api/studies/{studies[0]['study_id']}", method="DELETE")
    assert journal.read_bytes() == before


def test_there_must_be_a_journal(tmp_path):
    assert "no journal yet" in message(serve_journal, tmp_path / "study.journal", "127.0.0.1", 0, error=EmofuseError)


def test_tensorboard_is_served(tmp_path):
    address = serve_curves(tmp_path, "127.0.0.1", 0)
    assert address.startswith("http://127.0.0.1:") and b"<title>TensorBoard" in _get(address)


def test_only_one_dashboard_writes_the_curves(tmp_path):
    with _alone(tmp_path) as first, _alone(tmp_path) as second:
        assert first and not second


@pytest.mark.slow
def test_the_command_serves_both_until_it_is_told_to_stop(searched):
    command = [sys.executable, "-m", "emofuse", "search", "dashboard", str(searched.path), "--port", "0"]
    # The world's families aren't real ones, which the recipe must be read with.
    code = f"import sys; sys.path.insert(0, 'tests/search'); import small_world, models.registry, features.sets\n" \
           f"models.registry.families = lambda: small_world.FAMILIES\n" \
           f"import emofuse; sys.exit(emofuse.main({command[3:]!r}))"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        lines = [process.stdout.readline() for _ in range(2)]
        for line in lines:
            (address,) = re.findall(r"http://127.0.0.1:\d+\S*", line)
            assert _get(address)
        time.sleep(0.1)
        process.send_signal(2)
        assert process.wait(30) == 0 and process.stdout.read().endswith("Closed.\n")
    finally:
        process.kill()
