"""What people call a run's members: the entry and the number of its configuration."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from ensembles.predictions.sets import Member
from search.run.planned import read_asked


def human_names(run: Path, members: Sequence[Member]) -> Mapping[str, str]:
    """`audio_svm #3` for each member by its name: numbered as the search asked for them, others after these in time."""
    asked = read_asked(run)
    by_entry: dict[str, list[Member]] = defaultdict(list)
    for member in members:
        by_entry[member.entry].append(member)
    found: dict[str, str] = {}
    for entry, own in by_entry.items():
        order: dict[str, int] = {}
        for study in asked.get(entry, {}).values():
            for _, key in sorted(study.items()):
                order.setdefault(key, len(order) + 1)
        for member in sorted(own, key=lambda m: (min(f.started_s for f in m.trials.values()), m.config_key)):
            number = order.setdefault(member.config_key, len(order) + 1)
            found[member.name] = f"{entry} #{number}"
    return found


def anchor(name: str) -> str:
    """The address of a member's section on the page."""
    return "m-" + "".join(c if c.isalnum() else "-" for c in name)
