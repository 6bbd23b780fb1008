"""A search in a notebook's event loop and in a script without a guard, both on Ray; features of a script too."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
_MAKE = """
import numpy as np
from pathlib import Path
from features.clips import Clip, ClipTable, write_clips
from features.sets import FeatureArray
from features.store.store import SetWriter

folder = Path("data")
clips = [Clip(f"{split}{n}", None, split, "ab"[n % 2], f"{split}{n // 2}") for split, count in
         (("train", 12), ("val", 8), ("test", 4)) for n in range(count)]
folder.mkdir()
write_clips(ClipTable(tuple(clips), folder), folder / "clips.parquet")
writer = SetWriter(folder / "store", "voice", "k1", tuple(c.clip_id for c in clips), "clip", (4,), imported=True)
for clip in clips:
    vector = np.full((1, 4), "ab".index(clip.label), np.float32)
    writer.add(clip.clip_id, FeatureArray(vector, np.zeros(1, np.float32)))
writer.finish()
"""
_SEARCH = 'ef.search("recipe.yaml", clips="data/clips.parquet", features="data/store", out="run", cpus=1)'


@pytest.fixture
def folder(tmp_path):
    """A working directory with clips, imported features and a recipe of one trial of a linear SVM."""
    subprocess.run([sys.executable, "-c", _MAKE], cwd=tmp_path, check=True, env=_environment())
    entries = {"svm": {"family": "audio_svm", "configurations": 1, "inputs": {"audio": "voice"}}}
    recipe = {"name": "tiny", "seed": 1, "asha": None, "stages": [{"stage": "clips", "entries": entries}]}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return tmp_path


def _environment():
    import os

    return {**os.environ, "PYTHONPATH": str(ROOT)}


def _run(folder, code):
    (folder / "script.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=folder, capture_output=True, text=True, env=_environment(), timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.slow
def test_in_a_script_without_a_guard(folder):
    done = _run(folder, f"import emofuse as ef\nprint('begins')\nrun = {_SEARCH}\nprint(len(run.trials()))\n")
    assert done.stdout.split() == ["begins", "1"]


@pytest.mark.slow
def test_inside_a_running_event_loop(folder):
    done = _run(
        folder,
        f"""
import asyncio
import emofuse as ef

async def cell():
    run = {_SEARCH}
    await asyncio.sleep(0)
    print(len(run.trials()))

asyncio.run(cell())
""",
    )
    assert done.stdout.split() == ["1"]


@pytest.mark.slow
def test_workers_of_the_command_pass_by_a_package_of_the_working_directory(folder):
    for name in ("models", "search"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise RuntimeError('not ours')")
    inputs = ["--clips", "data/clips.parquet", "--features", "data/store"]
    command = [sys.executable, "-m", "emofuse", "search", "run", "recipe.yaml", *inputs, "-o", "run", "--cpus", "1"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=_environment(), timeout=300)
    assert done.returncode == 0, done.stderr
    assert len(list((folder / "run" / "predictions").rglob("*.parquet"))) == 1
