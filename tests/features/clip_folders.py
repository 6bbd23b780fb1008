"""Folders of files for the adapters of corpora: each file holds its own name."""

from pathlib import Path


def touch(root: Path, *names: str) -> Path:
    """`root` with these files."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def split_groups(table) -> dict[str, set[str]]:
    """The groups of each split."""
    return {split: {clip.group_id for clip in table.split(split)} for split in ("train", "val", "test")}
