"""Recordings of full length, trained on within bounds of memory, each in a process of its own."""

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).parents[3] / "benchmarks" / "memory.py"
spec = importlib.util.spec_from_file_location("memory_benchmark", PATH)
memory = importlib.util.module_from_spec(spec)
spec.loader.exec_module(memory)


@pytest.mark.slow
@pytest.mark.parametrize("family", memory.FAMILIES)
def test_a_recording_of_full_length_trains_within_4_gb(family):
    assert memory.measured(family, 1700)["peak_mb"] < 4000
