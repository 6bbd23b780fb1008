"""A backbone's layers as frame-level features: computed once for every face of every clip, then read like any set."""

from dataclasses import dataclass
from typing import cast

from features.clips import ClipTable
from features.errors import ClipFailure, DamagedFile, EmofuseError
from features.files import content_key
from features.names import unknown_name
from features.progress import progress, say
from features.sets import FeatureArray, set_names
from features.store.store import SetWriter, StoredSet, open_set
from features.store.stored_set import read_info
from models.family import Backbone
from models.finite import finite
from models.pulse import beat
from models.registry import get_family
from search.recipe.entry import Entry
from search.recipe.inputs import canonical_spec, layer_name, selected, source, split_layer
from search.recipe.recipe import Recipe
from search.run.folder import RunFolder
from search.run.predictions import Footer
from search.study.best import best_backbone
from search.study.selected import select
from search.trial.hygiene import clean_process, pick_device

_COLUMNS = "columns"


@dataclass(frozen=True)
class Source:
    """Where activations come from: a backbone's trial, its layer, and the set of images that it saw.

    `selected` is to how many of its numbers the layer is cut; None: it is whole.
    """

    backbone: str
    layer: str
    images: str
    selected: int | None = None

    def key(self, images_key: str) -> str:
        """The activations' key, given the key of the images' set."""
        cut = {"selected": self.selected} if self.selected else {}
        return content_key({"backbone": self.backbone, "layer": self.layer, "images": images_key, **cut})


def image_spec(recipe: Recipe, backbone: Footer) -> str:
    """The feature set of the clips' faces that a backbone reads.

    It is the `clip_faces` of its entry, by default the one that it was trained on; where that was imported, as stills
    often are, the family's default.
    """
    for _, entry in recipe.all_entries():
        if entry.name == backbone.entry and entry.clip_faces:
            return canonical_spec(entry.clip_faces)
    (spec,) = backbone.inputs.values()
    if spec.partition(":")[0] in set_names():
        return spec
    (slot,) = get_family(backbone.family).inputs
    return slot.default


def activation_key(run: RunFolder, spec: str, table: ClipTable) -> str:
    """The key under which the best backbone's activations for `spec` (`face_cnn.conv2`) lie, computed or not."""
    source = _source(run, spec)
    return source.key(open_set(run.store, source.images, table).key)


def read_source(run: RunFolder, spec: str, key: str) -> tuple[Source, tuple[int, ...]]:
    """What the activations `<spec>/<key>` were made of, and which of the layer's numbers they are (none: all)."""
    folder = run.activations / layer_name(spec) / key
    params = {name: str(value) for name, value in read_info(folder).params.items()}
    columns = tuple(map(int, params[_COLUMNS].split())) if _COLUMNS in params else ()
    return Source(params["backbone"], params["layer"], params["images"], len(columns) or None), columns


def ensure_entry_activations(run: RunFolder, entry: Entry, device: str | None = None) -> None:
    """Compute the activations that an entry reads, unless they are there; nothing for one that reads feature sets."""
    for spec in sorted({source(spec) for spec in entry.input_specs().values() if split_layer(source(spec))}):
        ensure_activations(run, spec, device)


def ensure_activations(run: RunFolder, spec: str, device: str | None = None) -> StoredSet:
    """The activations of the best backbone's layer `spec` (`face_cnn.conv2`) for all clips, computed if need be.

    Of `face_cnn.conv2:selected=2048` only the numbers that search/study/selected.py finds on the stills are kept.

    A clip without faces fails here as it did there. Killed work goes on where it stopped; two processes that compute
    the same activations don't disturb each other.
    """
    table = run.table()
    source = _source(run, spec)
    images = open_set(run.store, source.images, table)
    key = source.key(images.key)
    folder = run.activations / layer_name(spec) / key
    if (folder / "set.json").exists():
        try:
            stored = StoredSet(folder)
            stored.ensure_intact(beat)
            return stored
        except DamagedFile:
            say(f"{spec}: its stored activations are damaged; what is damaged is computed again")
    footer = best_backbone(run, str(spec.partition(".")[0]))
    family = get_family(footer.family)
    device = device or pick_device(family.resources.gpu)
    with clean_process(0, family.resources.cpu):
        run.check_model(source.backbone, "run the same search again: the backbone is trained again")
        backbone = cast(Backbone, family.load(run.model_folder(source.backbone), device))
        if source.layer not in backbone.layers:
            raise unknown_name(f"layer of backbone {family.name!r}", source.layer, backbone.layers)
        columns = select(run, footer, backbone, source.layer, source.selected) if source.selected else ()
        return _compute(run, spec, key, source, columns, backbone, images, table)


def _source(run: RunFolder, spec: str) -> Source:
    layer = split_layer(spec)
    if layer is None:
        raise ValueError(f"Expected <backbone>.<layer>, but got {spec!r}.")
    footer = best_backbone(run, layer[0])
    return Source(footer.trial_key, layer[1], image_spec(run.recipe, footer), selected(spec))


def _compute(
    run: RunFolder,
    spec: str,
    key: str,
    source: Source,
    columns: tuple[int, ...],
    backbone: Backbone,
    images: StoredSet,
    table: ClipTable,
) -> StoredSet:
    ids = [clip.clip_id for clip in table.clips]
    with_faces = [clip_id for clip_id in ids if images.has(clip_id)]
    if not with_faces:
        raise EmofuseError(f"Activations of {spec!r}: no clip has the {source.images!r} features that it reads.")
    names = backbone.columns(source.layer)
    params = {"backbone": source.backbone, "layer": source.layer, "images": source.images}
    if columns:
        params[_COLUMNS] = " ".join(map(str, columns))
        names = tuple(names[column] for column in columns) if names else ()
    width = len(columns) or backbone.activations(images[with_faces[0]][:1], source.layer).shape[1]
    writer = SetWriter(
        run.activations,
        layer_name(spec),
        key,
        tuple(ids),
        "frame",
        (width,),
        table.media_fingerprint,
        spec,
        params,
        columns=names,
    )
    done = writer.done_ids()
    for clip_id in ids:
        if clip_id not in done and not images.has(clip_id):
            writer.fail(clip_id, ClipFailure(images.status(clip_id), images.reason(clip_id)))
    todo = [clip_id for clip_id in with_faces if clip_id not in done]
    with progress(f"activations of {spec}", len(todo)) as counter:
        for clip_id in todo:
            activations = backbone.activations(images[clip_id], source.layer)  # (T, F)
            _, values = next(finite(f"activations {spec}", [clip_id], [activations]))
            kept = values[:, list(columns)] if columns else values
            writer.add(clip_id, FeatureArray(kept, images.times(clip_id)))
            counter.advance()
    return writer.finish()
