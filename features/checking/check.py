"""All checks of a clip table, and how they are told."""

from dataclasses import dataclass
from typing import Any

from features.checking.media import Probe, media_findings, probe_all
from features.checking.rows import Finding, class_counts, row_findings
from features.clips import SPLITS, ClipTable
from features.terminal import Table


@dataclass(frozen=True)
class Checked:
    """What was found in a clip table; `probes` by clip_id of the files that were looked into."""

    table: ClipTable
    findings: tuple[Finding, ...]
    probes: dict[str, Probe]

    @property
    def errors(self) -> int:
        """How many findings have to be mended before a search."""
        return sum(finding.level == "error" for finding in self.findings)

    @property
    def pictures(self) -> int:
        """How many clips have a picture."""
        return sum(probe.picture for probe in self.probes.values())

    @property
    def sounds(self) -> int:
        """How many clips have sound that is not silent."""
        return sum(probe.sound for probe in self.probes.values())

    def as_data(self) -> dict[str, Any]:
        """For JSON."""
        counts = {split: dict(sorted(of_class.items())) for split, of_class in class_counts(self.table).items()}
        return {
            "clips": len(self.table),
            "classes": counts,
            "pictures": self.pictures,
            "sounds": self.sounds,
            "failed": {name: probe.failure.reason for name, probe in self.probes.items() if probe.failure},
            "findings": [finding._asdict() for finding in self.findings],
        }


def check(table: ClipTable, workers: int, media: bool = True) -> Checked:
    """Check the rows of a table and, with `media`, the beginning of every file."""
    found = list(row_findings(table))
    probes = probe_all(table, workers) if media else {}
    found += media_findings(table, probes)
    return Checked(table, tuple(sorted(found, key=lambda finding: finding.level != "error")), probes)


def balance_table(table: ClipTable) -> Table:
    """Clips by class and split, and the groups of each split."""
    shown = Table("class")
    for split in SPLITS:
        shown.add_column(split, justify="right")
    counts = class_counts(table)
    for name in table.classes:
        shown.add_row(name, *(str(of_class[name]) for of_class in counts.values()))
    unlabelled = {split: sum(clip.label is None for clip in table.split(split)) for split in counts}
    if any(unlabelled.values()):
        shown.add_row("(no label)", *map(str, unlabelled.values()))
    shown.add_row("(groups)", *(str(len({c.group_id for c in table.split(split)})) for split in counts))
    return shown
