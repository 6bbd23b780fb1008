"""The account of what a search asks for, kept while it asks: `search status` counts by it."""

from collections import Counter
from collections.abc import Mapping, Sequence

from models.space import Scalar
from search.recipe.recipe import Stage
from search.run.folder import RunFolder, study_key
from search.run.planned import note_asked, read_asked
from search.run.spec import TrialSpec


class Account:
    """Which configurations the entries of a stage ask for; `specs` are the entries' specs, without a point."""

    def __init__(self, run: RunFolder, stage: Stage, specs: Mapping[str, TrialSpec]):
        self._run, self._stage, self._specs = run, stage, specs
        self._studies = {name: study_key(entry, run.recipe) for name, entry in stage.entries.items()}
        asked = read_asked(run.path)
        self._known = {name: dict(asked.get(name, {}).get(key, {})) for name, key in self._studies.items()}
        self._next: Counter[str] = Counter()

    def note(self, entry: str, points: Sequence[Mapping[str, Scalar]], first: int = 0) -> None:
        """Write down the entry's configurations from number `first` on, where that isn't done."""
        keys = {number: self.key(entry, point) for number, point in enumerate(points, start=first)}
        fresh = {number: key for number, key in keys.items() if self._known[entry].get(number) != key}
        if fresh:
            self._known[entry] |= fresh
            note_asked(self._run.path, entry, self._studies[entry], fresh)

    def known(self, entry: str) -> Mapping[int, str]:
        """The keys of the configurations that the entry has asked for so far, by number."""
        return self._known[entry]

    def next(self, entry: str, point: Mapping[str, Scalar]) -> None:
        """The entry asks for its next configuration."""
        self.note(entry, [point], first=self._next[entry])
        self._next[entry] += 1

    def key(self, entry: str, point: Mapping[str, Scalar]) -> str:
        """The key of the entry's configuration at a point."""
        return self._specs[entry].at(self._stage.entries[entry].complete(point), "").config_key
