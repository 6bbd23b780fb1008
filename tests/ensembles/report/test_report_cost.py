"""What a report may cost: no library that it doesn't need, nothing made twice, little more than a leaderboard."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import emofuse

ROOT = Path(emofuse.__file__).parent
_MEDIA = {"cv2", "av", "soundfile", "librosa"}
_HEAVY = _MEDIA | {"torch", "ray", "optuna", "numba", "sklearn", "pandas", "matplotlib", "scipy.stats", "vl_convert"}


def cpu_s(*command):
    """Seconds of processors of a process and of those that it waited for."""
    before = os.times()
    done = subprocess.run([sys.executable, "-c", *map(str, command)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    after = os.times()
    took = after.children_user + after.children_system - before.children_user - before.children_system
    return took, done.stdout


def test_a_report_imports_and_makes_nothing_that_was_made_before(write_run, tmp_path):
    run, out = write_run(M=4), tmp_path / "report.html"
    emofuse.open_run(run).fit("greedy", keep_all=True)
    emofuse.open_run(run).report(out)  # Vega's script is kept from here on
    code = (
        "import os, sys, emofuse\n"
        "os.sched_getaffinity = lambda _: {0, 1}\n"
        "emofuse.main(['report', sys.argv[1], '-o', sys.argv[2]])\n"
        f"print(sorted({_HEAVY!r} & set(sys.modules)))"
    )
    again = tmp_path / "again.html"
    _, said = cpu_s(code, run, again)
    assert said.splitlines()[-1] == "[]"
    assert again.read_bytes() == out.read_bytes()


@pytest.mark.slow
def test_a_report_of_very_many_models_takes_little_more_than_their_leaderboard(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from scale import write_models

    write_models(tmp_path, 0, 3000, 200)
    for path in tmp_path.rglob("*.parquet"):
        os.utime(path, (1e9, 1e9))  # the cache leaves the youngest out
    main = "import sys, emofuse; sys.exit(emofuse.main(sys.argv[1:]))"
    commands = [(main, "ensemble", "leaderboard", tmp_path), (main, "report", tmp_path, "-o", tmp_path / "r.html")]
    for command in commands:
        cpu_s(*command)
    board, report = (min(cpu_s(*command)[0] for _ in range(3)) for command in commands)
    assert report < 3.3 * board, (report, board)
