"""A run: its folder, the recipe it follows, and the data it belongs to."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from features.clips import ClipTable, check_clips, read_clips
from features.errors import DamagedFile, EmofuseError, WrongUse
from features.files import content_key, read_json, write_json
from features.progress import say
from features.schema import check_version, parse
from features.terminal import command
from models.metrics import DEFAULT_METRICS
from models.registry import family_sha256
from models.space import Scalar, space_as_data
from search.recipe.copies import DIGEST, write_copy
from search.recipe.entry import Entry
from search.recipe.limits import DEFAULT_ASHA
from search.recipe.recipe import Recipe, StageName, recipe_of_data
from search.run.layout import Layout, Outcome
from search.run.partitions import Partition, make_partition
from search.run.planned import MISSING, REMEDY, WHAT, Planned
from search.run.remote import shown
from search.run.seen import refuse_seen
from search.run.unchanged import changed, refuse_other_data, refuse_other_meaning, refuse_other_trials

__all__ = ["Layout", "Outcome", "RunFolder"]

SCHEMA_VERSION = 1
# That of runs whose release kept none.
EARLIER_LAG = 8
# From so many configurations of an entry on TPE draws them, where the recipe doesn't say (benchmarks/samplers.py); in
# runs whose release kept no such number, from the other.
TPE_FROM, EARLIER_TPE_FROM = 0, 50

Warm = Mapping[str, Sequence[Mapping[str, Scalar]]]  # points by entry


@dataclass(frozen=True)
class _Stored:
    """What run.json says, besides the plan."""

    recipe: dict[str, Any]
    clips: Path
    store: Path
    stills: Path | None
    clips_fingerprint: str
    stills_fingerprint: str | None
    lags: dict[str, int] | None = None
    tpe_from: int = EARLIER_TPE_FROM
    asha_by_default: bool = False
    warm: dict[str, dict[str, tuple[dict[str, Scalar], ...]]] = field(default_factory=dict)


@dataclass(frozen=True)
class RunFolder(Layout):
    """A run: its folder and what run.json says of it. Paths are absolute; `stills` is None without a backbone stage.

    `lags` are the lags of TPE (search.sampling.lag) by entry, chosen when trials of the entry were first asked for,
    `warm` by run the first points of entries that were found there (search.sampling.warm). What
    happens where the recipe doesn't say stays as the run began: `tpe_from`, and with `asha_by_default` its ASHA.
    """

    recipe: Recipe
    clips: Path
    store: Path
    stills: Path | None
    clips_fingerprint: str
    stills_fingerprint: str | None
    lags: Mapping[str, int] = field(default_factory=dict)
    warm: Mapping[str, Warm] = field(default_factory=dict)
    tpe_from: int = TPE_FROM
    asha_by_default: bool = False

    @classmethod
    def prepare(cls, path: Path, recipe: Recipe, clips: Path, store: Path, stills: Path | None = None) -> "RunFolder":
        """Start a run, or continue the one that lies there with a recipe that changes or extends its own.

        Before anything is written the tables and every partition of the recipe are checked. Refused are other clips or
        stills, another seed, and another family or other inputs under an entry's old name, once a search has begun. A
        damaged run.json is told, and written anew if the trials that lie there fit.
        """
        earlier = _earlier(path)
        if stills is None and earlier is not None:
            stills = earlier.stills
        has_backbone = any(stage.stage == "backbone" for stage in recipe.stages)
        if has_backbone and stills is None:
            raise WrongUse(f"Recipe {recipe.name!r} has a backbone stage, so expected a table of stills (--stills).")
        table, faces = read_clips(clips), read_clips(stills) if stills else None
        partitions = _checked(table, recipe, "clips")
        if faces is not None:
            _checked(faces, recipe, "backbone")
        refuse_seen(recipe, table, faces, partitions)
        begun = earlier if earlier is not None and earlier.begun else None
        own_asha = "asha" in recipe.model_fields_set
        if begun is not None and begun.asha_by_default and not own_asha:
            recipe = recipe.model_copy(update={"asha": begun.recipe.asha})
        run = cls(
            path.resolve(),
            recipe,
            clips.resolve(),
            store.resolve(),
            stills.resolve() if stills else None,
            table.fingerprint,
            faces.fingerprint if faces is not None else None,
            earlier.lags if earlier is not None else {},
            earlier.warm if earlier is not None else {},
            begun.tpe_from if begun is not None else TPE_FROM,
            not own_asha or _same_default(recipe, begun),
        )
        if begun is not None:
            refuse_other_data(begun, run)
            refuse_other_meaning(begun, run)
        else:
            refuse_other_trials(run)
        run._write()
        return run

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """The run that lies at `path`."""
        file = path / "run.json"
        data = read_json(file, WHAT, missing=MISSING, damaged=REMEDY)
        check_version(
            data,
            SCHEMA_VERSION,
            file,
            "run",
            "continue it with the release that wrote it, or start one in another folder",
        )
        stored = parse(_Stored, data, file, REMEDY, DamagedFile)
        recipe = recipe_of_data(stored.recipe, f"{file}: recipe")
        return cls(
            path=path.resolve(),
            recipe=recipe,
            clips=stored.clips,
            store=stored.store,
            stills=stored.stills,
            clips_fingerprint=stored.clips_fingerprint,
            stills_fingerprint=stored.stills_fingerprint,
            lags=stored.lags
            if stored.lags is not None
            else {entry.name: EARLIER_LAG for _, entry in recipe.all_entries()},
            warm=stored.warm,
            tpe_from=stored.tpe_from,
            asha_by_default=stored.asha_by_default,
        )

    def relocate(self, clips: Path | None = None, store: Path | None = None, stills: Path | None = None) -> "RunFolder":
        """Write down where clip table, feature store and stills lie now (None: where they lay); the run as it is then.

        Refused are tables with other clips than the run's, and places at which there is nothing.
        """
        moved = replace(
            self,
            clips=(clips or self.clips).resolve(),
            store=(store or self.store).resolve(),
            stills=stills.resolve() if stills else self.stills,
        )
        if not moved.store.is_dir():
            raise EmofuseError(f"{moved.store}: no such folder, expected the feature store of the run; give --store.")
        for stage in {stage for stage, _ in moved.recipe.all_entries()}:
            moved.table(stage)
        moved._write()
        return moved

    def lag(self, entry: str) -> int:
        """The entry's lag: the recipe's, else the one that was chosen, if one was."""
        return self.recipe.lag if self.recipe.lag is not None else self.lags.get(entry, EARLIER_LAG)

    def with_lags(self, lags: Mapping[str, int]) -> "RunFolder":
        """The run with lags for entries that had none, written down."""
        settled = replace(self, lags={**lags, **self.lags})
        if settled.lags != self.lags:
            settled._write()
        return settled

    def with_warm(self, warm: "Mapping[str, Warm]") -> "RunFolder":
        """The run with first points that were looked up in other runs, written down."""
        settled = replace(self, warm={**self.warm, **warm})
        settled._write()
        return settled

    def refuse_moved(self) -> None:
        """EmofuseError, with the command that mends it, where clips, features or stills lie elsewhere by now."""
        places = {"--clips": self.clips, "--store": self.store, "--stills": self.stills}
        gone = {option: place for option, place in places.items() if place is not None and not place.exists()}
        if gone:
            words = [word for option in gone for word in (option, option.removeprefix("--").upper())]
            raise EmofuseError(
                f"{', '.join(map(str, gone.values()))}: no such file or folder, though the run was searched with it; if"
                f" it was moved, say where it lies now: `{command('search', 'relocate', shown(self.path), *words)}`."
            )

    def table_path(self, stage: StageName) -> Path:
        """The clip table that trials of this stage are trained on: the stills for a backbone."""
        if stage != "backbone":
            return self.clips
        if self.stills is None:
            raise EmofuseError(f"{self.path}: this run has no table of stills (--stills) to train a backbone on.")
        return self.stills

    def table(self, stage: StageName = "clips") -> ClipTable:
        """The clip table that trials of this stage are trained on; one that changed since is refused."""
        path = self.table_path(stage)
        if not path.exists():
            self.refuse_moved()
        table = read_clips(path)
        expected = self.stills_fingerprint if stage == "backbone" else self.clips_fingerprint
        if table.fingerprint != expected:
            raise changed(self, "stills" if stage == "backbone" else "clips", str(expected), table.fingerprint)
        return table

    def plan(self) -> tuple[Planned, ...]:
        """What the recipe asks for, entry by entry."""
        return tuple(
            Planned(
                stage,
                entry.name,
                entry.family,
                entry.planned_configurations,
                self.recipe.partition_names(stage),
                entry.continuous,
                study_key(entry, self.recipe),
                self.recipe.asha.rungs(entry.max_epochs or entry.record().max_epochs or 1) if self.recipe.asha else (),
                self.recipe.metric_of(entry),
                self.recipe.flows(stage),
                self.recipe.seeds_of(stage, entry),
                self.recipe.best_seeds_of(stage, entry),
                entry.choose_on,
            )
            for stage, entry in self.recipe.all_entries()
        )

    def _write(self) -> None:
        data = {
            "schema_version": SCHEMA_VERSION,
            "recipe": self.recipe.as_data(),
            "clips": str(self.clips),
            "store": str(self.store),
            "stills": str(self.stills) if self.stills else None,
            "clips_fingerprint": self.clips_fingerprint,
            "stills_fingerprint": self.stills_fingerprint,
            "plan": [asdict(planned) for planned in self.plan()],
            "asha_by_default": self.asha_by_default,
            "tpe_from": self.tpe_from,
            "lags": dict(self.lags),
            "warm": {place: dict(found) for place, found in self.warm.items()},
        }
        text = yaml.safe_dump(self.recipe.model_dump(mode="json", exclude_defaults=True), sort_keys=False)
        digest = write_copy(self.path, text)
        write_json(self.path / "run.json", {**data, DIGEST: digest})


def study_key(entry: Entry, recipe: Recipe) -> str:
    """What makes results of an entry comparable: the same key continues a study, another one starts a new one."""
    metric, code = recipe.metric_of(entry), family_sha256(entry.family)
    told: list[Any] = [entry.name, space_as_data(entry.effective_space()), recipe.seed, entry.record().version]
    told += [code] if code else []
    told += [metric] if metric not in DEFAULT_METRICS else []
    told += [{"choose_on": entry.choose_on}] if entry.choose_on else []
    told += [{"prior": entry.prior}] if entry.prior else []
    return content_key([*told, *([{"training": wishes}] if (wishes := entry.training.wishes()) else [])])


def _same_default(recipe: Recipe, begun: RunFolder | None) -> bool:
    """Whether its ASHA is what a run's own recipe holds where nobody asked for one."""
    if begun is not None and begun.asha_by_default and recipe.asha == begun.recipe.asha:
        return True
    return recipe.asha == DEFAULT_ASHA


def _earlier(path: Path) -> RunFolder | None:
    if not (path / "run.json").exists():
        return None
    try:
        return RunFolder.open(path)
    except DamagedFile as error:
        say(str(error))
        return None


def _checked(table: ClipTable, recipe: Recipe, stage: StageName) -> list[Partition]:
    """The partitions that trials of this stage are trained on."""
    check_clips(table, media=False)
    kinds = {entry.continuous for own, entry in recipe.all_entries() if (own == "backbone") == (stage == "backbone")}
    return [
        make_partition(
            table, name, seed=recipe.seed, allow_shared_groups=recipe.allow_shared_groups, continuous=continuous
        )
        for name in recipe.partition_names(stage)
        for continuous in kinds
    ]
