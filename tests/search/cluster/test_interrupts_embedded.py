"""Stopping a search in someone else's process: a notebook's kernel outlives it."""

import os
import signal
import time

import pytest

from search.cluster import interrupts
from search.cluster.interrupts import Interrupts


def test_what_hangs_is_left_by_a_second_signal_not_by_ending_the_process(tmp_path, monkeypatch):
    monkeypatch.setattr(interrupts, "GRACE_S", 0.1)
    monkeypatch.setattr(os, "_exit", lambda code: pytest.fail("the process was ended"))
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), Interrupts(tmp_path, embedded=True) as stop, stop.deferred():
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.stopping
        time.sleep(30)
        pytest.fail("nothing woke it")
    assert signal.getsignal(signal.SIGINT) is before and not list(tmp_path.iterdir())
