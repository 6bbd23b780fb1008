"""Training checkpoints: one file in a folder, whole or absent, that holds tensors and plain values only."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from features.disk.sealed import check_sealed, sealing
from features.errors import DamagedFile
from features.progress import say

_NAME = "training.pt"


class Checkpoint:
    """Where a training keeps its state. `folder` None keeps nothing.

    `identity` names the training; a file of another training, or one that can't be read, is told and passed over:
    training from the start gives the same result. A state is written when `every_s` seconds passed since the last one.
    """

    def __init__(self, folder: Path | None, identity: str, every_s: float):
        self._path = None if folder is None else folder / _NAME
        self._identity, self._every_s = identity, every_s
        self._written = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """The state to go on from, or None. Reads no pickled code (`weights_only`)."""
        if self._path is None or not self._path.exists():
            return None
        try:
            check_sealed(self._path, "a checkpoint", "training from the start")
            state = torch.load(self._path, map_location="cpu", weights_only=True)
        except DamagedFile as error:
            say(str(error))
            return None
        except Exception as error:  # torch.load raises half a dozen types for a damaged file
            say(f"{self._path}: checkpoint can't be read ({type(error).__name__}); training from the start.")
            return None
        if not isinstance(state, dict) or state.get("identity") != self._identity:
            say(f"{self._path}: checkpoint is of another training; training from the start.")
            return None
        return state

    def save(self, state: Callable[[], dict[str, Any]], now: bool = False) -> None:
        """Write `state()` if it is time, or `now`; a reader sees the old file or the new one, never a part."""
        if self._path is None or not (now or time.monotonic() - self._written >= self._every_s):
            return
        # Through a file of Python's, whose errors tell of a full disk; torch's own do not.
        with sealing(self._path) as file:
            torch.save({"identity": self._identity, **state()}, file)
        self._written = time.monotonic()
