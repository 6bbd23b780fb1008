"""A backbone's layers as frame-level features: computed once for every face of every clip, then read like any set."""

from dataclasses import dataclass
from typing import cast

from features.clips import ClipTable
from features.errors import ClipFailure, EmofuseError
from features.files import content_key, read_json
from features.names import unknown_name
from features.progress import progress
from features.sets import FeatureArray, set_names
from features.store import SetWriter, StoredSet, open_set
from models.family import Backbone
from models.registry import get_family
from search.hygiene import clean_process, pick_device
from search.inputs import canonical_spec, source, split_layer
from search.predictions import Footer, prediction_files, read_footer
from search.recipe import Entry, Recipe
from search.runfolder import RunFolder


@dataclass(frozen=True)
class Source:
    """Where activations come from: a backbone's trial, its layer, and the set of images that it saw."""

    backbone: str
    layer: str
    images: str

    def key(self, images_key: str) -> str:
        """The activations' key, given the key of the images' set."""
        return content_key({"backbone": self.backbone, "layer": self.layer, "images": images_key})


def best_backbone(run: RunFolder, name: str) -> Footer:
    """The finished backbone trial of entry or family `name` with the best held-out accuracy; ties: lower log loss."""
    footers = [footer for path in prediction_files(run.path) if (footer := read_footer(path)).stage == "backbone"]
    found = [footer for footer in footers if name in (footer.entry, footer.family)]
    if not found:
        raise EmofuseError(
            f"{run.path}: no trial of backbone {name!r} has finished, so its layers can't be read; "
            "see `emofuse search status` for what became of them."
        )
    return min(found, key=lambda f: (-f.metrics["accuracy"], f.metrics["log_loss"], f.trial_key))


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


def read_source(run: RunFolder, spec: str, key: str) -> Source:
    """Which backbone trial, layer and images the stored activations `<spec>/<key>` were made of."""
    params = read_json(run.activations / spec / key / "set.json", "the description of stored activations")["params"]
    return Source(params["backbone"], params["layer"], params["images"])


def ensure_entry_activations(run: RunFolder, entry: Entry, device: str | None = None) -> None:
    """Compute the activations that an entry reads, unless they are there; nothing for one that reads feature sets."""
    for spec in sorted({source(spec) for spec in entry.input_specs().values() if split_layer(source(spec))}):
        ensure_activations(run, spec, device)


def ensure_activations(run: RunFolder, spec: str, device: str | None = None) -> StoredSet:
    """The activations of the best backbone's layer `spec` (`face_cnn.conv2`) for all clips, computed if need be.

    A clip without faces fails here as it did there. Killed work goes on where it stopped; two processes that compute
    the same activations don't disturb each other.
    """
    table = run.table()
    source = _source(run, spec)
    images = open_set(run.store, source.images, table)
    key = source.key(images.key)
    folder = run.activations / spec / key
    if (folder / "set.json").exists():
        return StoredSet(folder)
    family = get_family(best_backbone(run, str(spec.partition(".")[0])).family)
    device = device or pick_device(family.resources.gpu)
    with clean_process(0, family.resources.cpu):
        backbone = cast(Backbone, family.load(run.model_folder(source.backbone), device))
        if source.layer not in backbone.layers:
            raise unknown_name(f"layer of backbone {family.name!r}", source.layer, backbone.layers)
        return _compute(run, spec, key, source, backbone, images, table)


def _source(run: RunFolder, spec: str) -> Source:
    layer = split_layer(spec)
    if layer is None:
        raise ValueError(f"Expected <backbone>.<layer>, but got {spec!r}.")
    footer = best_backbone(run, layer[0])
    return Source(footer.trial_key, layer[1], image_spec(run.recipe, footer))


def _compute(
    run: RunFolder, spec: str, key: str, source: Source, backbone: Backbone, images: StoredSet, table: ClipTable
) -> StoredSet:
    ids = [clip.clip_id for clip in table.clips]
    with_faces = [clip_id for clip_id in ids if images.has(clip_id)]
    if not with_faces:
        raise EmofuseError(f"Activations of {spec!r}: no clip has the {source.images!r} features that it reads.")
    width = backbone.activations(images[with_faces[0]][:1], source.layer).shape[1]
    params = {"backbone": source.backbone, "layer": source.layer, "images": source.images}
    writer = SetWriter(
        run.activations, spec, key, tuple(ids), "frame", (width,), table.media_fingerprint, spec, params,
        columns=backbone.columns(source.layer),
    )
    done = writer.done_ids()
    for clip_id in ids:
        if clip_id not in done and not images.has(clip_id):
            writer.fail(clip_id, ClipFailure(images.status(clip_id), images.reason(clip_id)))
    todo = [clip_id for clip_id in with_faces if clip_id not in done]
    with progress(f"activations of {spec}", len(todo)) as counter:
        for clip_id in todo:
            values = backbone.activations(images[clip_id], source.layer)  # (T, F)
            writer.add(clip_id, FeatureArray(values, images.times(clip_id)))
            counter.advance()
    return writer.finish()
