"""What a run keeps on its disk besides predictions: models of the best trials and checkpoints, within a budget.

Predictions are never dropped. Everything that is can be made again by `emofuse search replay --write`.
"""

import math
import os
import shutil
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from features.errors import DamagedFile, EmofuseError
from features.progress import say, say_once
from features.store.stored_set import read_info
from models.metrics import search_value
from search.run.folder import RunFolder
from search.run.predictions import Footer, prediction_files, read_footer
from search.run.remote import remote_of
from search.run.spec import TrialSpec

# Looking through a folder of ten thousand files takes a tenth of a second.
_LOOK_EVERY_S = 5.0
_GB = 1e9


@dataclass(frozen=True)
class _Kept:
    key: str
    entry: str
    partition: str
    value: float

    @property
    def group(self) -> tuple[str, str]:
        return self.entry, self.partition


class Keeper:
    """Keeps the models of the recipe's best `keep` trials per entry and partition, and the run within `disk_budget_gb`.

    Models that a later stage, a refit or an export needs (best backbones, backbones of stored activations, encoders,
    refits) stay in any case. Checkpoints of trials that ended before are dropped at once.
    """

    def __init__(self, run: RunFolder):
        self._run, self._remote = run, remote_of(run.path)
        self._keep, self._budget_gb = run.recipe.keep, run.recipe.disk_budget_gb
        self._kept: dict[tuple[str, str], list[_Kept]] = defaultdict(list)
        # Worse ones than what was dropped are not kept.
        self._floor: dict[tuple[str, str], float] = defaultdict(lambda: -math.inf)
        self._running: set[str] = set()
        self._looked = -_LOOK_EVERY_S
        for footer in _with_models(run):
            self._add(_Kept(footer.trial_key, footer.entry, footer.partition, self._value(footer)))
        self._clear_up()

    def started(self, spec: TrialSpec) -> float | None:
        """The value of the search from which on this trial's model is worth keeping; None: it isn't, whatever comes.

        EmofuseError when the run is over its budget and nothing is left that may be dropped.
        """
        self._running.add(spec.trial_key)
        self._enforce()
        if not self._keep:
            return None
        group = spec.entry, spec.partition
        best = self._kept[group]
        return max(self._floor[group], best[self._keep - 1].value if len(best) >= self._keep else -math.inf)

    def ended(self, spec: TrialSpec, value: float | None) -> None:
        """A trial ended, with this value if it finished; what fell behind is dropped."""
        self._running.discard(spec.trial_key)
        if value is not None and spec.keep_from is not None and value >= spec.keep_from and self._remote:
            self._remote.pull(f"models/{spec.trial_key}")
        if value is not None and self._run.model_folder(spec.trial_key).exists():
            kept = _Kept(spec.trial_key, spec.entry, spec.partition, value)
            self._add(kept)
            if not spec.keep_model:
                for behind in self._kept[kept.group][self._keep :]:
                    self._drop(behind)
        self._enforce()

    def _value(self, footer: Footer) -> float:
        """What the recipe now has the entry's trials compared by, also of one that was trained for another metric."""
        entries = {entry.name: entry for _, entry in self._run.recipe.all_entries()}
        metric = self._run.recipe.metric_of(entries[footer.entry]) if footer.entry in entries else footer.searched
        value = search_value(footer.metrics, metric)
        return -math.inf if value is None else value

    def _clear_up(self) -> None:
        """Drop what killed processes left: models of unfinished trials, models that fell behind, checkpoints."""
        for key in {path.name for path in _model_folders(self._run)} - self._run.finished():
            shutil.rmtree(self._run.model_folder(key), ignore_errors=True)
        behind = [kept for group in self._kept.values() for kept in group[self._keep :] if self._keep]
        needed = needed_models(self._run) if behind else set()
        backbones = {entry.name for stage, entry in self._run.recipe.all_entries() if stage == "backbone"}
        for kept in behind:
            if kept.key not in needed and kept.entry not in backbones:
                self._drop(kept)
        _drop_stale_checkpoints(self._run)

    def _add(self, kept: _Kept) -> None:
        group = self._kept[kept.group]
        if kept not in group:
            group.append(kept)
            group.sort(key=lambda one: (-one.value, one.key))

    def _enforce(self) -> None:
        if self._budget_gb is None or time.monotonic() - self._looked < _LOOK_EVERY_S:
            return
        self._looked = time.monotonic()
        used = folder_size(self._run.path)
        over = used - self._budget_gb * _GB
        if over > 0:
            for drop, size in self._droppable():
                drop()
                over -= size
                if over <= 0:
                    return
            raise EmofuseError(
                f"{self._run.path}: takes {used / _GB:.3g} GB, but the recipe's disk_budget_gb is {self._budget_gb:g}, "
                "and what is left (predictions, activations, models that are still needed) is not dropped; raise the "
                "budget and run the same command."
            )

    def _droppable(self) -> "Iterator[tuple[Drop, int]]":
        """What may go, the least valuable first, with its size in bytes."""
        needed = needed_models(self._run)
        ranked = [(rank, kept) for group in self._kept.values() for rank, kept in enumerate(group)]
        for _, kept in sorted(ranked, key=lambda item: (-item[0], item[1].value, item[1].key)):
            if kept.key not in needed:
                yield Drop(self, kept), folder_size(self._run.model_folder(kept.key))
        for folder in sorted((self._run.path / "checkpoints").glob("*")):
            if folder.name not in self._running:
                yield Drop(self, folder), folder_size(folder)

    def _drop(self, kept: _Kept) -> None:
        self._kept[kept.group].remove(kept)
        self._floor[kept.group] = max(self._floor[kept.group], kept.value)
        self._run.drop_model(kept.key)
        if self._remote:
            self._remote.push(f"models/{kept.key}")


@dataclass(frozen=True)
class Drop:
    """Drops one model, or the checkpoint of a trial that is not running, and says so."""

    keeper: Keeper
    what: _Kept | Path

    def __call__(self) -> None:
        if isinstance(self.what, Path):
            say(f"disk budget: dropped the checkpoint of trial {self.what.name[:8]}, which starts anew")
            shutil.rmtree(self.what, ignore_errors=True)
        else:
            say(f"disk budget: dropped the model of {self.what.entry} {self.what.key[:8]} {self.what.partition}")
            self.keeper._drop(self.what)


def needed_models(run: RunFolder) -> set[str]:
    """The keys of the trials whose models later stages, refits and exports read."""
    footers = list(_with_models(run))
    needed = {footer.trial_key for footer in footers if footer.partition == "full"}
    needed |= {footer.trial_key for footer in footers if run.encodings(footer.entry, footer.trial_key).exists()}
    for path in (run.path / "activations").glob("*/*/set.json"):
        try:
            needed.add(str(read_info(path.parent).params["backbone"]))
        except DamagedFile as error:
            say_once(str(error))
    backbones = [footer for footer in footers if footer.stage == "backbone"]
    for name in {name for footer in backbones for name in (footer.entry, footer.family)}:
        mine = [footer for footer in backbones if name in (footer.entry, footer.family)]
        needed.add(min(mine, key=Footer.ranking(run.recipe.metric_of_backbone(name))).trial_key)
    return needed


def folder_size(folder: Path) -> int:
    """The bytes of all files below `folder`; those that vanish meanwhile don't count."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(place) / name).stat().st_size
            except FileNotFoundError:
                continue
    return total


def _with_models(run: RunFolder) -> Iterator[Footer]:
    keys = {path.name for path in _model_folders(run)}
    if keys:
        yield from (read_footer(path) for path in prediction_files(run.path) if path.stem in keys)


def _model_folders(run: RunFolder) -> list[Path]:
    return [path for path in (run.path / "models").glob("[!.]*") if path.is_dir()]


def _drop_stale_checkpoints(run: RunFolder) -> None:
    waiting = {path.name for path in (run.path / "checkpoints").glob("*")}
    if waiting:
        for key in waiting & (run.finished() | {outcome.trial_key for outcome in run.outcomes()}):
            run.drop_checkpoint(key)
