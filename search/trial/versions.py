"""What made a result: the versions of the libraries and the revision of this program."""

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

# Tells a job on a cluster, which runs from a packed tree without .git, what it was packed from.
REVISION_VARIABLE = "EMOFUSE_GIT_REVISION"

_LIBRARIES = (
    "emofuse",
    "torch",
    "numpy",
    "scipy",
    "scikit-learn",
    "pyarrow",
    "librosa",
    "opencv-python",
    "av",
    "opensmile",
    "optuna",
    "ray",
)


@cache
def library_versions() -> dict[str, str]:
    """The installed versions of Python and of the libraries that results depend on; absent ones are left out."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@cache
def git_revision() -> str:
    """The commit this program runs from, `-dirty` added when its files were changed since; empty outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return os.environ.get(REVISION_VARIABLE, "")
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
