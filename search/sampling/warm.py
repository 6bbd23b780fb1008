"""`warm_start`: the best configurations of another run as first points, in the present space, told in the log.

They are looked up once, when a run starts, and stand in its run.json: the other run may go on, or go away.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from features.errors import WrongUse
from features.progress import say
from models.metrics import in_words, told
from models.space import Float, Scalar
from search.recipe.entry import Entry
from search.run.ended import Ended, read_ended
from search.run.folder import RunFolder
from search.run.predictions import read_footer
from search.run.remote import is_uri, mirrored, remote_of, shown
from search.sampling.first_points import changes, moved, usual_point

# So many configurations of each run an entry begins with.
BEST = 3

Found = Mapping[str, Sequence[dict[str, Scalar]]]


def with_warm_start(run: RunFolder) -> RunFolder:
    """The run with the first points that it takes from the runs of `warm_start`, looked up where they weren't."""
    fresh = {place: _looked_up(run, place) for place in run.recipe.warm_start if place not in run.warm}
    return run.with_warm(fresh) if fresh else run


def warm_points(run: RunFolder, entry: Entry) -> list[dict[str, Scalar]]:
    """The entry's first points from other runs that lie in its present space, the runs in the recipe's order."""
    space = entry.effective_space()
    found = [point for place in run.recipe.warm_start for point in run.warm.get(place, {}).get(entry.name, ())]
    typed = [
        {n: float(v) if isinstance(space.get(n), Float) and type(v) is int else v for n, v in point.items()}
        for point in found
    ]
    return [p for p in typed if p.keys() == space.keys() and all(space[n].check(v) is None for n, v in p.items())]


def _looked_up(run: RunFolder, place: str) -> Found:
    if _is_itself(run, place):
        raise WrongUse(f"warm_start: expected other runs, but {place} is this one, which goes on by itself.")
    other = RunFolder.open(mirrored(place, "reader"))
    theirs = [entry for _, entry in other.recipe.all_entries()]
    ended = read_ended(other.path)
    found: dict[str, list[dict[str, Scalar]]] = {}
    for _, entry in run.recipe.all_entries():
        of_family = [one for one in theirs if one.family == entry.family]
        sources = [one for one in of_family if one.name == entry.name] or of_family
        best = [item for source in sources for item in _best(other, source, ended)]
        points = [_taken(entry, source, place, worth, hyperparameters) for source, worth, hyperparameters in best]
        found[entry.name] = [point for n, point in enumerate(points) if point not in points[:n]]
    if not any(found.values()):
        say(f"warm start: {shown(other.path)} has no finished configuration of a family of this recipe")
    return found


def _is_itself(run: RunFolder, place: str) -> bool:
    remote = remote_of(run.path)
    if is_uri(place) or remote is not None:
        return remote is not None and remote.uri == place.rstrip("/")
    return Path(place).resolve() == run.path


def _best(other: RunFolder, entry: Entry, ended: Sequence[Ended]) -> list[tuple[Entry, str, Mapping[str, Scalar]]]:
    """The entry's best configurations on the partitions on which most are finished, with what each reached."""
    values: dict[str, dict[tuple[str, int], Ended]] = defaultdict(dict)
    for trial in ended:
        if trial.entry == entry.name and trial.status == "finished" and trial.partition != "full":
            values[trial.config_key][trial.partition, trial.repeat] = trial
    most = max(map(len, values.values()), default=0)
    means = {
        key: sum(trial.value or 0.0 for trial in trials.values()) / most
        for key, trials in values.items()
        if len(trials) == most
    }
    metric = other.recipe.metric_of(entry)
    chosen = sorted(means, key=lambda key: (-means[key], key))[:BEST]
    footers = [read_footer(other.prediction(entry.name, next(iter(values[k].values())).trial_key)) for k in chosen]
    return [
        (entry, f"held-out {in_words(metric)} {told(metric, means[key]):.3f}", footer.hyperparameters)
        for key, footer in zip(chosen, footers, strict=True)
    ]


def _taken(entry: Entry, source: Entry, place: str, worth: str, theirs: Mapping[str, Scalar]) -> dict[str, Scalar]:
    usual = usual_point(entry)
    point = {
        name: moved(parameter, theirs[name]) if name in theirs else usual[name]
        for name, parameter in entry.effective_space().items()
    }
    changed = changes(point, theirs)
    say(f"warm start of {entry.name} by {source.name} of {place} ({worth}){changed and f': {changed}'}")
    return point
