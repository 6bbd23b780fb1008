"""How much disk a run will need at most, estimated from its recipe before anything is trained."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

from features.clips import ClipTable
from features.sets import get_set, parse_spec, set_names
from features.store.store import open_set
from models.family import Backbone, Context, Model
from search.recipe.entry import Entry
from search.recipe.inputs import selected, source, split_layer, whitening
from search.recipe.recipe import Recipe

# A trial's own files beside its probabilities: footer, learning curve, its share of the journal.
_PER_TRIAL_MB = 0.02
# A checkpoint holds the weights, the best weights so far and the optimiser's two moments.
_CHECKPOINT = 4
# The numbers of a model's encoding, about: what a fusion reads.
_ENCODING = 200


@runtime_checkable
class Weighted(Protocol):
    """A model that is a network."""

    def weights_mb(self) -> float:
        """Megabytes of its parameters."""
        ...


@dataclass(frozen=True)
class Need:
    """Megabytes of a run folder by kind of file."""

    predictions_mb: float
    models_mb: float
    checkpoints_mb: float
    activations_mb: float

    @property
    def total_mb(self) -> float:
        """All of it."""
        return self.predictions_mb + self.models_mb + self.checkpoints_mb + self.activations_mb

    def __str__(self) -> str:
        return (
            f"predictions {self.predictions_mb:.0f} MB, models {self.models_mb:.0f} MB, checkpoints of running trials "
            f"{self.checkpoints_mb:.0f} MB, activations {self.activations_mb:.0f} MB"
        )


def disk_need(recipe: Recipe, store: Path, clips: ClipTable, stills: ClipTable | None, at_once: int) -> Need:
    """What a run of `recipe` writes when up to `at_once` trials run at the same time.

    EmofuseError when a set that it reads is not in the store.
    """
    predictions = models = largest = 0.0
    layers: dict[str, float] = {}
    widths: dict[str, int] = {}
    backbones: dict[str, Entry] = {}
    for stage, entry in recipe.all_entries():
        table = stills if stage == "backbone" and stills is not None else clips
        partitions = len(recipe.partition_names(stage))
        trials = entry.planned_configurations * partitions * recipe.seeds_of(stage, entry)
        trials += (recipe.best_seeds_of(stage, entry) - recipe.seeds_of(stage, entry)) * partitions
        predictions += trials * (len(table) * 4 * (len(table.classes) + 1) / 2**20 + _PER_TRIAL_MB)
        for spec in map(source, entry.input_specs().values()):
            layer = split_layer(spec)
            if layer is not None and spec not in layers:
                backbone = backbones[layer[0]]
                widths[spec] = selected(spec) or cast(Backbone, _model(backbone, store, clips, {})).width(layer[1])
                layers[spec] = _frames(backbone, store, clips) * widths[spec] * 4 / 2**20
        weights_mb = _weights_mb(_model(entry, store, table, widths))
        largest = max(largest, weights_mb)
        if stage == "backbone":
            models += trials * weights_mb
            backbones |= {entry.name: entry, entry.family: entry}
    return Need(predictions, models, _CHECKPOINT * at_once * largest, sum(layers.values()))


def _model(entry: Entry, store: Path, table: ClipTable, widths: Mapping[str, int]) -> Model:
    """The entry's model as published, unfitted; `widths` of the layers that it may read."""
    shapes = {slot: _input_shape(entry, spec, store, table, widths) for slot, spec in entry.input_specs().items()}
    dimensions = table.annotations.dimensions if entry.continuous and table.annotations else ()
    return entry.record().build(entry.record().usual, Context(table.classes, shapes, dimensions=dimensions))


def _input_shape(entry: Entry, text: str, store: Path, table: ClipTable, widths: Mapping[str, int]) -> tuple[int, ...]:
    spec, whitened = source(text), whitening(text)
    if whitened:
        return (whitened.components,)
    if entry.record().stage == "fusion":
        return (_ENCODING,)
    return (widths[spec],) if spec in widths else _shape(store, spec, table)


def _shape(store: Path, spec: str, table: ClipTable) -> tuple[int, ...]:
    if spec.partition(":")[0] not in set_names():
        return tuple(open_set(store, spec, table).shape)
    parsed = parse_spec(spec)
    return tuple(get_set(parsed.name).shape(parsed.params))


def _frames(backbone: Entry, store: Path, clips: ClipTable) -> int:
    """How many faces of the clips a backbone will look at."""
    (spec,) = backbone.input_specs().values()
    if backbone.clip_faces:
        spec = backbone.clip_faces
    elif spec.partition(":")[0] not in set_names():
        (spec,) = (slot.default for slot in backbone.record().inputs)
    stored = open_set(store, spec, clips)
    return sum(stored.length(clip_id) for clip_id in stored.ids)


def _weights_mb(model: Model) -> float:
    """Megabytes of one model's weights; those that are not networks are small."""
    return model.weights_mb() if isinstance(model, Weighted) else 1.0
