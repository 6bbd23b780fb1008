"""Partitions: which clips a trial is fitted on, which it stops on, and which it never sees."""

from dataclasses import dataclass

from features.clips import ClipTable


@dataclass(frozen=True)
class Partition:
    """Clip ids of the two sides and of the test split; `held_out_ids` is empty for `full`."""

    name: str
    fit_ids: tuple[str, ...]
    held_out_ids: tuple[str, ...]
    test_ids: tuple[str, ...]

    def roles(self) -> dict[str, str]:
        """`fit`, `held_out` or `test` for each clip id."""
        raise NotImplementedError


def make_partition(table: ClipTable, name: str, *, seed: int, allow_shared_groups: bool = False) -> Partition:
    """`train`, `swap`, `full`, `stills` or `fold-k-of-n` of a clip table, refused when its sides aren't independent."""
    raise NotImplementedError
