"""A lock on a run's folder."""

import threading
import time

import pytest

from features.errors import EmofuseError
from search.run import lease
from search.run.lease import exclusive, is_locked


def test_it_waits_for_who_is_about_to_end(tmp_path):
    held = threading.Event()

    def ending():
        with exclusive(tmp_path):
            held.set()
            time.sleep(0.2)

    thread = threading.Thread(target=ending)
    thread.start()
    assert held.wait(5) and is_locked(tmp_path)
    with exclusive(tmp_path):
        assert not thread.join(5)
    assert not is_locked(tmp_path)


def test_it_refuses_beside_a_search_that_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "LOCK_PATIENCE_S", 0.1)
    refused = pytest.raises(EmofuseError, match="another search works on this run")
    with exclusive(tmp_path), refused, exclusive(tmp_path):
        pass
