"""What people call a run's members: the entry and the number of its configuration."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ensembles.predictions.sets import Member
from search.run.planned import Asked, read_asked


def human_names(run: Path, members: Sequence[Member]) -> Mapping[str, str]:
    """`audio_svm #3` for each member by its name: numbered as the search asked for them, others after these in time."""
    known = [(m.name, m.entry, m.config_key, min(f.started_s for f in m.trials.values())) for m in members]
    return numbered(read_asked(run), known)


def numbered(asked: Asked, members: Iterable[tuple[str, str, str, float]]) -> Mapping[str, str]:
    """The same for members as (name, entry, configuration's key, when it was started in seconds since 1970)."""
    by_entry: dict[str, list[tuple[float, str, str]]] = defaultdict(list)
    for name, entry, config_key, started_s in members:
        by_entry[entry].append((started_s, config_key, name))
    found: dict[str, str] = {}
    for entry, own in by_entry.items():
        order: dict[str, int] = {}
        for study in asked.get(entry, {}).values():
            for _, key in sorted(study.items()):
                order.setdefault(key, len(order) + 1)
        for _, config_key, name in sorted(own):
            found[name] = f"{entry} #{order.setdefault(config_key, len(order) + 1)}"
    return found


def anchor(name: str) -> str:
    """The address of a member's section on the page."""
    return "m-" + "".join(c if c.isalnum() else "-" for c in name)
