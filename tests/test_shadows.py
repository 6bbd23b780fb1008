"""Folders and files of the working directory that have a package's name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def _python(folder, *words):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture
def shadowed(tmp_path):
    """A working directory with a user's own package `models`, module `search` and folder `features`."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").write_text("raise RuntimeError('not ours')")
    (tmp_path / "search.py").write_text("raise RuntimeError('not ours')")
    (tmp_path / "features").mkdir()
    return tmp_path


def test_the_command_passes_them_by(shadowed):
    done = _python(shadowed, "-m", "emofuse", "search", "families", "audio_svm")
    assert done.returncode == 0 and "audio_svm" in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("files", "place"), [(["models/__init__.py"], "models/__init__.py"), (["search.py", "models/a.txt"], "search.py")]
)
def test_python_is_told_which_file_is_in_the_way(tmp_path, files, place):
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    done = _python(tmp_path, "-c", "import emofuse; print('imported'); emofuse.open_run('run')")
    name = place.split("/")[0].removesuffix(".py")
    assert done.stdout.strip() == "imported"
    assert done.stderr.splitlines()[-1] == (
        f"ImportError: emofuse needs its own package {name!r}, but Python found {tmp_path / place} under that name "
        "first: rename it, or start Python in another folder. (The command `emofuse` works here as it is.)"
    )


def test_a_package_that_is_imported_already_is_told(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").write_text("")
    done = _python(tmp_path, "-c", "import models, emofuse; emofuse.main(['--help'])")
    assert f"Python found {tmp_path / 'models' / '__init__.py'} under that name first" in done.stderr


def test_folders_without_code_are_no_packages(tmp_path):
    for name in ("features", "models", "search", "ensembles"):
        (tmp_path / name).mkdir()
    done = _python(tmp_path, "-c", "import emofuse; emofuse.open_run('run')")
    assert "run: no such folder, expected a run" in done.stderr.splitlines()[-1]


def test_processes_need_no_guard_and_do_not_take_them_for_ours(tmp_path):
    (tmp_path / "features").mkdir()
    (tmp_path / "script.py").write_text(
        "import emofuse\nemofuse.EmofuseError\nprint('once')\n"
        "from math import sqrt\nfrom features.workers.clip_processes import run_all\n"
        "print(list(run_all(sqrt, [4.0], 1)))\n"
    )
    done = _python(tmp_path, "script.py")
    assert done.stdout.splitlines() == ["once", "[(4.0, 2.0)]"], done.stderr
