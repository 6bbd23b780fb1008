"""librosa's functions are compiled by one process at a time."""

import os
import subprocess
import sys

import pytest

import features.disk.intact as intact
from features.disk.intact import one_at_a_time

USES = "import numpy as np; from features.audio.contours import contours; contours(np.ones(8000, np.float32))"


def test_a_second_process_waits(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(intact, "_WAIT_S", 0.0)
    heard = []
    monkeypatch.setattr(intact.fcntl, "flock", lambda file, how: heard.append(file.name))
    with one_at_a_time("librosa"):
        assert heard == [str(tmp_path / "emofuse" / "intact" / "librosa.lock")]


@pytest.mark.slow
def test_what_two_processes_compiled_can_be_loaded(tmp_path):
    for turn in range(3):
        environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / str(turn))}
        command = [sys.executable, "-c", USES]
        both = [subprocess.Popen(command, env=environment) for _ in range(2)]
        assert [process.wait() for process in both] == [0, 0]
        assert subprocess.run(command, env=environment).returncode == 0
