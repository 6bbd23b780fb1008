"""A run that is under way."""

import json

import pytest


@pytest.fixture
def run(write_run):
    """A run of 2 x 4 configurations, six of whose trials ended."""
    folder = write_run(M=3)
    plan = [
        {"stage": "clips", "entry": entry, "family": entry, "configurations": 4, "partitions": ["train", "swap"]}
        for entry in ("e0", "e1")
    ]
    recipe = {"name": "made up", "seed": 1}
    described = {"recipe": recipe, "plan": plan, "clips": str(folder / "clips.parquet"), "store": str(folder)}
    (folder / "run.json").write_text(json.dumps(described))
    return folder
