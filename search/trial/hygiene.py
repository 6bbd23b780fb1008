"""Trials of one worker process must not touch each other: seeds, threads and memory before and after each."""

import gc
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np


@contextmanager
def clean_process(seed: int, cpu: float) -> Iterator[None]:
    """Seed all generators, compute on `cpu` threads, and free the memory of the GPU afterwards."""
    import torch

    modules = len(sys.modules)
    _set_libraries_aside(modules)
    threads = max(1, int(cpu))
    before = torch.get_num_threads()
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  for libraries that draw from the global state
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    try:
        with _thread_pools(modules).limit(limits=threads):
            yield
    finally:
        torch.set_num_threads(before)
        free_memory()


# Both are done again when a trial has imported more libraries, which a family's first one does.
@lru_cache(maxsize=1)
def _set_libraries_aside(modules: int) -> None:
    # A full collection walks through everything that torch and its companions hold, 0.1 s after every trial; what is
    # there before a trial stays anyhow.
    gc.collect()
    gc.freeze()


@lru_cache(maxsize=1)
def _thread_pools(modules: int) -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()  # reads the whole list of the process's libraries


def free_memory() -> None:
    """Collect what is no longer used, and give cached GPU memory back."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def pick_device(gpu: float) -> str:
    """`cuda` when a part of a GPU was asked for and there is one, else `cpu`."""
    import torch

    return "cuda" if gpu > 0 and torch.cuda.is_available() else "cpu"
