"""What one node can say of itself, as plain data: `search doctor` runs this on every node and compares."""

import hashlib
import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from features.clips import read_clips
from features.errors import EmofuseError
from features.store.store import open_set
from search.trial.versions import library_versions

# The packages whose code decides what a trial computes.
_PACKAGES = ("features", "models", "search")
MARKER = "driver"


@dataclass(frozen=True)
class Question:
    """What a node is asked: `folder` (a path or URI; None: not asked) for markers, `reads` as (table, spec)."""

    folder: str | None = None
    token: str = ""
    store: str | None = None
    reads: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Gpu:
    """One GPU of a node, as its driver knows it."""

    name: str
    total_mb: float
    free_mb: float


@dataclass(frozen=True)
class Answer:
    """What a node said. `marker` is empty when it shares the folder, else why not; `reads` as asked: a key or error."""

    host: str
    versions: dict[str, str]
    code: str
    marker: str
    reads: dict[tuple[str, str], str]
    gpus: tuple[Gpu, ...] = ()
    torch_gpu: bool = False
    errors: tuple[tuple[str, str], ...] = field(default=())


def probe(question: Question) -> Answer:
    """Look at this machine; nothing is left behind but the marker that was asked for."""
    import torch

    found = {read: _key(question.store, *read) for read in question.reads} if question.store else {}
    return Answer(
        host=socket.gethostname(),
        versions=library_versions(),
        code=code_digest(),
        marker=_marked(question),
        reads={read: key for read, (key, _) in found.items()},
        gpus=read_gpus(),
        torch_gpu=torch.version.cuda is not None or torch.version.hip is not None,
        errors=tuple((spec, error) for (_, spec), (_, error) in found.items() if error),
    )


@cache
def code_digest() -> str:
    """sha256 (hex) over the source files that this process runs from."""
    root, digest = Path(__file__).resolve().parents[2], hashlib.sha256()
    for package in _PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            digest.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def read_gpus() -> tuple[Gpu, ...]:
    """The GPUs of this machine; asked of the driver's own tool, since Ray hides them from work that wants none."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    query = [tool, "--query-gpu=name,memory.total,memory.free", "--format=csv,noheader,nounits"]
    try:
        lines = subprocess.run(query, capture_output=True, text=True, timeout=30, check=True).stdout.splitlines()
        rows = [line.rsplit(",", 2) for line in lines if line.strip()]
        return tuple(Gpu(name.strip(), float(total), float(free)) for name, total, free in rows)
    except (OSError, subprocess.SubprocessError, ValueError):
        return ()


def _marked(question: Question) -> str:
    """Leave a marker beside the asker's; a folder that isn't there is not made, it would lie on this node alone."""
    if question.folder is None:
        return ""
    from pyarrow.fs import FileSystem

    try:
        files, folder = FileSystem.from_uri(question.folder)
        with files.open_input_stream(f"{folder}/{MARKER}") as stream:
            if stream.read() != question.token.encode():
                return "another file lies there"
        with files.open_output_stream(f"{folder}/{socket.gethostname()}-{os.getpid()}") as stream:
            stream.write(question.token.encode())
    except FileNotFoundError:
        return "it does not see what this machine wrote there"
    except (OSError, ValueError) as error:
        return f"it can't write there ({error})"
    return ""


def _key(store: str | None, table: str, spec: str) -> tuple[str, str]:
    """(key of the set for this table's clips, why it can't be read)."""
    try:
        clips = read_clips(Path(table))
        stored = open_set(Path(str(store)), spec, clips)
        for clip_id in stored.ids:
            if stored.has(clip_id):
                stored.steps(clip_id)
                break
        return f"{clips.fingerprint}/{stored.key}", ""
    except (EmofuseError, OSError, ValueError) as error:
        return "", str(error)
