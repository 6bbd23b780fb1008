"""`search run --smoke`: any recipe tried out in minutes, on a few short clips made out of nothing.

What is tried is the recipe's own: its stages, families, inputs with their parameters, and kinds of partitions. Small
are the numbers: clips, configurations, epochs, folds, and each family's sizes (`Family.smoke`).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.clips import read_clips, write_clips
from features.extract import extract
from features.sets import SetSpec, get_set, parse_spec, set_names
from search.cluster.workers import Workers
from search.recipe.checks import check_recipe
from search.recipe.copies import is_copy
from search.recipe.entry import BestSeeds, Entry
from search.recipe.inputs import canonical_spec, source, split_layer
from search.recipe.limits import Budget
from search.recipe.reading import with_plugins
from search.recipe.recipe import Folds, Recipe, Stage, StageName, recipe_of_data
from search.recipe.yaml_files import read_yaml
from search.runner import run_search
from search.watch.status import Status

EPOCHS = 2
FOLDS = 2
# The fewest with which every class has two clips in train and one in val, and three groups can be folded.
CLIPS = {"train_actors": 2, "val_actors": 1, "test_actors": 1, "clips_per_actor": 7}
STILLS = {"train_actors": 2, "val_actors": 1, "stills_per_actor": 14}
DURATION_S = (0.8, 1.2)
RECORDINGS = {"train_actors": 2, "val_actors": 1, "test_actors": 1}
RECORDED_S = (2.0, 2.5)


@dataclass(frozen=True)
class SmokeData:
    """The tables of made-up clips and stills (None where nothing reads any), and the store of their features."""

    clips: Path
    stills: Path | None
    store: Path


def read_smoke_recipe(path: Path) -> Recipe:
    """Read a recipe, make it small, check it; every mistake is one WrongUse sentence."""
    recipe = recipe_of_data(read_yaml(path, "a recipe"), str(path))
    recipe = smoke_recipe(with_plugins(recipe, path.parent, trusted=not is_copy(path)))
    check_recipe(recipe, str(path))
    return recipe


def smoke_recipe(recipe: Recipe, *, own_data: bool = False) -> Recipe:
    """The recipe with one configuration per entry, two epochs, two folds, narrow networks and no files of weights.

    With `own_data` the made-up clips are brought in as the corpus' own: inputs stay as they are, also imported ones,
    and every published point of an entry is tried.
    """
    partitions = tuple(Folds(folds=FOLDS) if isinstance(item, Folds) else item for item in recipe.partitions)
    stages = tuple(
        Stage(
            stage=stage.stage,
            entries={name: _small(stage.stage, entry, own_data) for name, entry in stage.entries.items()},
        )
        for stage in recipe.stages
    )
    small: dict[str, Any] = {"partitions": tuple(dict.fromkeys(partitions)), "asha": None, "stages": stages}
    # What may end it before every entry was tried.
    small |= {"warm_start": (), "budget": Budget(), "stop_when": None, "fold_stopping": None}
    return _choosing(recipe.model_copy(update={**small, "seeds": _few(recipe.seeds)}))


def _choosing(recipe: Recipe) -> Recipe:
    """With `choose_on` moved to a partition that there is."""

    def moved(stage: StageName, entry: Entry) -> Entry:
        known = recipe.partition_names(stage)
        gone = entry.choose_on is not None and entry.choose_on not in known
        return entry.model_copy(update={"choose_on": known[0]}) if gone else entry

    stages = tuple(
        stage.model_copy(update={"entries": {name: moved(stage.stage, e) for name, e in stage.entries.items()}})
        for stage in recipe.stages
    )
    return recipe.model_copy(update={"stages": stages})


def _small(stage: StageName, entry: Entry, own_data: bool) -> Entry:
    family = entry.record()
    fixed = {**entry.fixed, **family.smoke}
    small = {
        "configurations": 1,
        "max_epochs": min(EPOCHS, entry.max_epochs or family.max_epochs),
        "fixed": fixed,
        "space": {name: change for name, change in entry.space.items() if name not in fixed},
        "seeds": _few(entry.seeds),
        "budget": Budget(),
    }
    if own_data:
        few = entry.model_copy(update=small | {"configurations": entry.configurations})
        return few.model_copy(update={"configurations": max(1, len(few.published_points()))})
    # Stills are often imported, and faces given with a corpus; the made-up ones are not.
    default = {slot.slot: entry.clip_faces or slot.default for slot in family.inputs}
    given = {**{slot.slot: slot.default for slot in family.inputs if stage == "clips"}, **entry.inputs}
    inputs = {
        slot: tuple(_tried(stage, one, default[slot]) for one in spec)
        if isinstance(spec, tuple | list)
        else _tried(stage, spec, default[slot])
        for slot, spec in given.items()
    }
    return entry.model_copy(update={**small, "inputs": inputs, "weights": None})


def _few(seeds: int | BestSeeds | None) -> int | BestSeeds | None:
    """Two seeds show as much as many."""
    if isinstance(seeds, BestSeeds):
        return BestSeeds(best=min(2, seeds.best))
    return None if seeds is None else min(2, seeds)


def _tried(stage: StageName, spec: str, default: str) -> str:
    """The input that stands for `spec` where there are no files of the user's: the default, or random weights."""
    features, bar, whitened = spec.partition("|")
    if _is_imported(stage, spec):
        features, bar, whitened = default, "", ""
    name = features.partition(":")[0]
    if stage == "fusion" or name not in set_names() or "model" not in get_set(name).params:
        return f"{features}{bar}{whitened}"
    parsed = parse_spec(features)
    if name == "onnx":  # of which there is no random one: an encoder of the same kind
        name = "speech" if parsed.params["of"] == "speech" else "vision"
    known = get_set(name).params
    params = {**known, **{key: value for key, value in parsed.params.items() if key in known}, "model": "random"}
    return f"{SetSpec(name, params)}{bar}{whitened}"


def _is_imported(stage: StageName, spec: str) -> bool:
    return stage != "fusion" and split_layer(source(spec)) is None and source(spec).partition(":")[0] not in set_names()


def make_smoke_data(recipe: Recipe, folder: Path, *, workers: int | None = None) -> SmokeData:
    """Make clips and stills in `folder` and extract the sets that the recipe names; what is there is kept.

    Where an entry learns continuous emotion the clips are recordings, annotated and without labels.
    Stills are made only for a recipe with a backbone, whose faces are extracted from both. `workers` processes extract
    (None: one for each core; 0: this one).
    """
    from features.datasets.synthetic import make_corpus, make_recordings, make_stills

    artists = None if workers is None else max(1, workers)
    clips, stills, store = folder / "clips.parquet", folder / "stills.parquet", folder / "store"
    faces, sets = _feature_sets(recipe)
    if any(entry.continuous for _, entry in recipe.all_entries()):
        clips = folder / "recordings" / "clips.parquet"
        if not clips.exists():
            made = make_recordings(clips.parent, **RECORDINGS, duration_s=RECORDED_S, workers=artists)
            write_clips(made, clips)
    elif not clips.exists():
        write_clips(make_corpus(folder / "clips", **CLIPS, duration_s=DURATION_S, flaws=0.0, workers=artists), clips)
    extract(read_clips(clips), [*faces, *sets], store, workers=workers)
    if faces:
        if not stills.exists():
            write_clips(make_stills(folder / "stills", **STILLS, workers=artists), stills)
        extract(read_clips(stills), faces, store, workers=workers)
    return SmokeData(clips, stills if faces else None, store)


def _feature_sets(recipe: Recipe) -> tuple[list[str], list[str]]:
    """The sets that backbones read, and those that the other entries read of the clips."""
    faces: set[str] = set()
    sets: set[str] = set()
    for stage, entry in recipe.all_entries():
        if stage == "fusion":
            continue
        specs = {source(spec) for spec in entry.input_specs().values() if not split_layer(source(spec))}
        (faces if stage == "backbone" else sets).update(specs)
        if entry.clip_faces:
            sets.add(canonical_spec(entry.clip_faces))
    return sorted(faces), sorted(sets - faces)


def run_smoke(recipe: Recipe, data: Path, out: Path, workers: Workers, *, processes: int | None = None) -> Status:
    """Make clips and features in the folder `data`, run the small recipe in `out`; returns how it stands at the end.

    `processes` is the number of those that extract, as in `make_smoke_data`.
    """
    made = make_smoke_data(recipe, data, workers=processes)
    return run_search(recipe, clips=made.clips, store=made.store, out=out, stills=made.stills, workers=workers)
