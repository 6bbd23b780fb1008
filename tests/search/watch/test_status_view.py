import json
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from features.progress import duration
from search.budget.pace import Pace
from search.trial.heartbeats import Heartbeat, SearchBeat
from search.trial.usage import Usage
from search.watch.gpus import gpu_use
from search.watch.status import EntryStatus, Status
from search.watch.status_view import full_text

ENTRY = EntryStatus("clips", "lstm", "audio_lstm", 10, 4, 2, 1, 0, 5, 0.6125, "c", None)
GPU = Usage(2000.0, "3 (H200)", "uuid", 1500.0, 9000.0, 140_000.0, 0.25)


def _beat(key, usage=GPU, **changes):
    return Heartbeat(
        key * 64,
        "c",
        "lstm",
        "train",
        "node1",
        7,
        0.0,
        50,
        {},
        ({"epoch": 12, "loss": 1.25, "accuracy": 0.5},),
        usage,
        **changes,
    )


def test_all_that_is_known_of_a_search():
    beats = (_beat("a"), _beat("b", replace(GPU, gpu_busy=0.75)), _beat("c", Usage(100.0)))
    search = SearchBeat("head", 5, 0.0, "http://10.0.0.1:8265")
    status = Status(Path("run"), True, (ENTRY,), search, beats, gpu_use(beats), Pace(1234.4, 7500.0))
    text = full_text(status)
    assert "clips  lstm   audio_lstm      10         4        2       1       0     5          0.613" in text
    assert "lstm aaaaaaaa  train  12 of 50  1.250     0.500" in text and "2.0 GB, 1.5 GB of GPU  node1:7" in text
    assert "node1 GPU 3 (H200): 2 trials, 9.0 of 140.0 GB, busy 50% of the time" in text
    assert "1,234 trials per hour; about 2 h 5 min to go, until " in text
    assert "The driver is process 5 on head; Ray's dashboard: http://10.0.0.1:8265." in text
    data = json.loads(json.dumps(status.as_data()))
    assert data["now"][0]["epoch"] == 12 and data["gpus"][0]["busy"] == 0.5 and data["pace"]["left_s"] == 7500.0


def test_a_driver_that_hears_nothing_of_ray_promises_no_end():
    def told(silent_s):
        search = SearchBeat("head", 5, 0.0, heard_s=time.time() - silent_s)
        return full_text(Status(Path("run"), True, (ENTRY,), search, pace=Pace(10.0, 60.0)))

    assert re.search(r"No progress since \d\d:\d\d:\d\d \(3 min 20 s ago\): Ray is silent\.", told(200))
    assert "to go, until" not in told(200) and "to go, until" in told(10) and "No progress" not in told(10)


def test_many_trials_are_cut_short():
    status = Status(Path("run"), True, (ENTRY,), None, tuple(_beat("a") for _ in range(25)))
    assert "... and 5 more" in full_text(status)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (59.4, "59 s"), (200, "3 min 20 s"), (18_720, "5 h 12 min"), (184_000, "2 d 3 h")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text
