"""The notebooks run from top to bottom, on a generated run in the demo's place."""

from itertools import product
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from search.run.predictions import Footer, Predictions, write_predictions

ROOT = Path(__file__).parents[1]
CLASSES = ("angry", "happy", "sad")
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


@pytest.fixture
def folder(tmp_path):
    """A working directory with a run in demo/run: two members on two partitions, with noisy scores of 60 clips."""
    rng = np.random.default_rng(0)
    splits = [("train", "val", "test")[n % 3] for n in range(60)]
    y = rng.integers(0, 3, 60)
    for entry, partition in product(("faces", "voice"), ("train", "swap")):
        P = rng.dirichlet([1.0] * 3, 60)
        P[np.arange(60), y] += 0.7
        footer = Footer(
            trial_key=f"{entry}-{partition}",
            config_key=entry,
            family=entry,
            entry=entry,
            hyperparameters={"lr": 0.1},
            partition=partition,
            classes=CLASSES,
            seed=0,
            epochs=3,
            best_epoch=2,
            metrics={"accuracy": 0.5},
        )
        fitted = "train" if partition == "train" else "val"
        roles = tuple("test" if s == "test" else "fit" if s == fitted else "held_out" for s in splits)
        rows = [(f"clip{n}", f"{splits[n]}{n % 12}", splits[n], roles[n], CLASSES[y[n]]) for n in range(60)]
        ids, groups, their_splits, roles, labels = zip(*rows, strict=True)
        scores = (P / P.sum(axis=1, keepdims=True)).astype(np.float32)
        write_predictions(
            tmp_path / "demo" / "run",
            Predictions(footer, ids, groups, their_splits, roles, labels, np.ones(60, bool), scores),
        )
    return tmp_path


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_and_draws(path, folder, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(path, 4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "commit it without outputs"
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}}).execute()
    shown = [output["data"] for cell in notebook.cells for output in cell.get("outputs", ()) if "data" in output]
    assert any("image/png" in data for data in shown)
    tables = [data for data in shown if "honest estimate (nested)" in data.get("text/html", "")]
    assert len(tables) == 1 and "honest estimate (nested)" in tables[0]["text/plain"]
    assert (folder / "demo" / "run" / "ensembles" / "notebook" / "ensemble.json").is_file()
