"""Write a refitted ensemble as a bundle, see `ensembles.bundle.bundle` for what lies in it."""

import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.numpy import save

from ensembles.bundle.bundle import CONTENTS, DIGESTS, SCHEMA_VERSION, SEEN
from ensembles.bundle.model_card import model_card
from ensembles.bundle.parts import Collector
from ensembles.bundle.plugged import plugged
from ensembles.bundle.predict import Predictor
from ensembles.bundle.seen import SEEN_FIELDS, as_arrays
from ensembles.bundle.seen_of_run import seen_of_run
from ensembles.bundle.stranger import opened_file, plain_files
from ensembles.bundle.weights import WEIGHTS, BundleWeights
from ensembles.records.ensemble import Ensemble
from ensembles.records.stored import write_ensemble
from features.errors import EmofuseError, WrongUse
from features.files import file_sha256, replacing_folder, write_bytes, write_json
from features.sets import SetSpec
from features.terminal import command

if TYPE_CHECKING:
    from search.run.folder import RunFolder


def export_bundle(
    run: "RunFolder", ensemble: Ensemble, folder: Path, *, with_encoders: bool = False, onnx: Path | None = None
) -> Path:
    """Write the refitted ensemble of a run to `folder`, whole or not at all, and only what can be loaded again.

    Weights of encoders go into it `with_encoders`, and are otherwise named by their digest. `onnx` is a folder for
    graphs of its torch models and its fusion, with a runner (ensembles/bundle/onnx_export.py).

    Errors: members that were not refitted, or whose saved models can't be loaded; encoders whose weights are not those
    that the members' features were made with; a folder with other things in it.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / CONTENTS).exists():
        raise WrongUse(f"{folder} exists and is no bundle: choose a folder that is new or holds an older bundle.")
    missing = [member.entry for member in ensemble.members if member.refit is None]
    if missing:
        raise EmofuseError(
            f"Ensemble {ensemble.name!r}: {', '.join(missing)} not refitted on train and val yet; "
            f"run: {command('ensemble', 'refit', run.path, ensemble.name)}"
        )
    found = Collector(run, {str(member.refit): _place(n, member.entry) for n, member in enumerate(ensemble.members)})
    members = [found.model(member.entry, str(member.refit)) for member in ensemble.members]
    contents: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "members": [asdict(member) for member in members],
        "backbones": {name: asdict(backbone) for name, backbone in found.backbones.items()},
        "selections": {spec: list(columns) for spec, columns in found.selections.items()},
        "encoders": {name: asdict(encoder) for name, encoder in found.encoders.items()},
        "feature_versions": {spec: _extractor_version(spec) for spec in sorted(found.feature_specs)},
        "versions": dict(found.versions),
    }
    families = [part.family for part in (*members, *found.encoders.values())]
    families += [backbone.family for backbone in found.backbones.values()]
    used = plugged(families, [spec.partition(":")[0] for spec in found.feature_specs])
    contents["plugins"] = [asdict(plugin) for plugin in used]
    weights = {name: _weights(found, name, with_encoders) for name in found.weights}
    contents["weights"] = {name: asdict(one) for name, one in weights.items()}
    contents["imported"] = {name: asdict(one) for name, one in found.imported.items()}
    seen = seen_of_run(run, found.stored_as)
    contents["seen"] = {name: {field: getattr(one, field) for field in SEEN_FIELDS} for name, one in seen.items()}
    with replacing_folder(folder) as temporary:
        for place, saved in found.sources.items():
            _copy(saved, temporary / place)
        for name, one in weights.items() if with_encoders else ():
            _copy_weights(found.weight_specs[name], one, temporary / WEIGHTS / name)
        write_ensemble(ensemble, temporary / "ensemble.json")
        write_json(temporary / CONTENTS, contents)
        if seen:
            write_bytes(temporary / SEEN, save(as_arrays(seen)))
        write_bytes(temporary / "MODEL_CARD.md", model_card(ensemble, contents).encode())
        write_json(temporary / DIGESTS, _digests(temporary))
        places = {name: Path(str(spec.params["model"])) for name, spec in found.weight_specs.items()}
        loaded = _load(temporary, folder, places)
        if onnx is not None:
            from ensembles.bundle.onnx_export import export_onnx

            export_onnx(loaded, onnx)
    return folder


def _copy(saved: Path, place: Path) -> None:
    """Copy a saved model's plain files; a link among them is refused, as it would lead to other people's files."""
    for name in plain_files(saved):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        with opened_file(saved, name) as source, (place / name).open("wb") as target:
            shutil.copyfileobj(source, target)


def _weights(found: Collector, name: str, held: bool) -> BundleWeights:
    """What the bundle says of an encoder's weights, which must be those that the features were made with."""
    from features.encoders import weights

    (set_name, digest), spec = found.weights[name], found.weight_specs[name]
    here = weights.digest(spec)
    if here != digest:
        raise EmofuseError(
            f"{spec.params['model']}: expected the weights that the set '{spec}' was extracted with, of sha256 "
            f"{digest[:12]}, but these have {here[:12]}; put the same weights there."
        )
    files = weights.files(spec) if held else []
    graph = weights.model_name(spec) if set_name == "onnx" and held else ""
    return BundleWeights(set_name, digest, tuple(path.name for path in files), graph)


def _copy_weights(spec: SetSpec, one: BundleWeights, place: Path) -> None:
    from features.encoders import weights

    place.mkdir(parents=True)
    for path in weights.files(spec):
        shutil.copyfile(path, place / path.name)


def _load(written: Path, folder: Path, encoders: Mapping[str, Path]) -> Predictor:
    """Load what was written, as whoever gets the bundle will."""
    held = (written / WEIGHTS).is_dir()
    try:
        return Predictor(written, encoders={} if held else encoders)
    except EmofuseError as error:
        why = str(error).replace(str(written), str(folder))
        raise EmofuseError(f"{folder}: nothing was exported, since it could not be loaded: {why}") from None


def _digests(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): file_sha256(p) for p in sorted(folder.rglob("*")) if p.is_file()}


def _place(number: int, entry: str) -> str:
    return f"members/{number:02d}-{entry}"


def _extractor_version(spec: str) -> int:
    from features.sets import get_set

    return get_set(spec.partition(":")[0]).version
