import gc
import random
import sys
from types import ModuleType

import numpy as np
import pytest
import torch

from search.trial.hygiene import clean_process, free_memory, pick_device
from search.trial.usage import read_usage
from search.trial.versions import git_revision, library_versions


def draws():
    with clean_process(7, cpu=1):
        return random.random(), np.random.random(), torch.rand(1).item()  # noqa: NPY002


def test_generators_start_from_the_seed():
    first = draws()
    assert draws() == first


def test_threads_are_given_back_after_an_error():
    torch.set_num_threads(2)
    with pytest.raises(ZeroDivisionError), clean_process(0, cpu=1.5):
        assert torch.get_num_threads() == 1
        _ = 1 / 0
    assert torch.get_num_threads() == 2


def test_no_gpu_is_used_unasked():
    assert pick_device(0.0) == "cpu"


def test_versions(monkeypatch, tmp_path):
    assert {"python", "torch", "numpy", "scikit-learn"} <= set(library_versions())
    monkeypatch.setattr("search.trial.versions.__file__", str(tmp_path / "search" / "trial" / "versions.py"))
    assert git_revision.__wrapped__() == ""


def test_new_libraries_are_set_aside_before_the_next_trial(monkeypatch):
    with clean_process(0, cpu=1):
        pass
    frozen = gc.get_freeze_count()
    monkeypatch.setitem(sys.modules, "just_imported", ModuleType("just_imported"))
    kept = [[] for _ in range(1000)]
    with clean_process(0, cpu=1):
        assert gc.get_freeze_count() >= frozen + len(kept)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_trials_gpu_memory_is_given_back():
    assert pick_device(0.25) == "cuda" and pick_device(0.0) == "cpu"
    free_memory()
    before = torch.cuda.memory_reserved()
    with clean_process(0, cpu=1):
        layer = torch.nn.Linear(4096, 4096, device="cuda")
        layer(torch.ones(8, 4096, device="cuda")).sum().backward()
        layer.itself = [layer]  # a cycle, which only a collection frees
        del layer
        assert torch.cuda.memory_reserved() > before
    assert torch.cuda.memory_reserved() <= before + 2**24, "but for cuBLAS' workspace"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_usage_tells_of_the_gpu():
    held = torch.ones(2**22, device="cuda")
    usage = read_usage()
    assert usage.gpu.endswith(f"({torch.cuda.get_device_name()})") and usage.gpu_id
    assert held.nbytes / 2**20 <= usage.gpu_own_mb <= usage.gpu_total_mb
    assert 0 < usage.gpu_used_mb <= usage.gpu_total_mb
    assert usage.gpu_busy is None or 0 <= usage.gpu_busy <= 1
