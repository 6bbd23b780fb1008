"""Write a refitted ensemble as a bundle, see `ensembles.bundle.bundle` for what lies in it."""

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ensembles.bundle.bundle import CONTENTS, DIGESTS, SCHEMA_VERSION
from ensembles.bundle.model_card import model_card
from ensembles.bundle.parts import Collector
from ensembles.bundle.plugged import plugged
from ensembles.bundle.predict import Predictor
from ensembles.bundle.stranger import opened_file, plain_files
from ensembles.fitting.ensemble import Ensemble, write_ensemble
from features.errors import EmofuseError, WrongUse
from features.files import file_sha256, replacing_folder, write_bytes, write_json
from features.terminal import command

if TYPE_CHECKING:
    from search.run.folder import RunFolder


def export_bundle(run: "RunFolder", ensemble: Ensemble, folder: Path) -> Path:
    """Write the refitted ensemble of a run to `folder`, whole or not at all, and only what can be loaded again.

    Errors: members that were not refitted, or that read imported arrays (which can't be computed from raw media), or
    whose saved models can't be loaded; a folder with other things in it.
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
    contents = {
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
    with replacing_folder(folder) as temporary:
        for place, saved in found.sources.items():
            _copy(saved, temporary / place)
        write_ensemble(ensemble, temporary / "ensemble.json")
        write_json(temporary / CONTENTS, contents)
        write_bytes(temporary / "MODEL_CARD.md", model_card(ensemble, contents).encode())
        write_json(temporary / DIGESTS, _digests(temporary))
        _load(temporary, folder)
    return folder


def _copy(saved: Path, place: Path) -> None:
    """Copy a saved model's plain files; a link among them is refused, as it would lead to other people's files."""
    for name in plain_files(saved):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        with opened_file(saved, name) as source, (place / name).open("wb") as target:
            shutil.copyfileobj(source, target)


def _load(written: Path, folder: Path) -> None:
    """Load what was written, as whoever gets the bundle will."""
    try:
        Predictor(written)
    except EmofuseError as error:
        why = str(error).replace(str(written), str(folder))
        raise EmofuseError(f"{folder}: nothing was exported, since it could not be loaded: {why}") from None


def _digests(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): file_sha256(p) for p in sorted(folder.rglob("*")) if p.is_file()}


def _place(number: int, entry: str) -> str:
    return f"members/{number:02d}-{entry}"


def _extractor_version(spec: str) -> int:
    from features.sets import get_set, why_no_bundle

    if why := why_no_bundle(spec):
        raise EmofuseError(
            f"A member reads {why}; fit an ensemble of members that read extracted sets, then export that."
        )
    return get_set(spec.partition(":")[0]).version
