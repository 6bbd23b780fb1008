"""The feature store: finding a set by its spec and the clip table that it was made from."""

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from features.clips import ClipTable
from features.errors import AbsentModel, EmofuseError
from features.files import content_key
from features.names import unknown_name
from features.sets import SetSpec, Value, get_set, parse_spec, set_names, set_sha256
from features.store.set_writer import SetWriter, ids_fingerprint
from features.store.stored_set import SetInfo, StoredSet, read_info

__all__ = ["SetInfo", "SetWriter", "StoredSet", "feature_key", "open_set", "set_writer", "stored_sets"]


def feature_key(spec: SetSpec, table: ClipTable) -> str:
    """sha256 (hex) of extractor, version, parameters and the table's media: the same key holds the same numbers.

    A plug-in's extractor is known by its code besides.
    """
    feature_set = get_set(spec.name)
    return content_key(
        {
            "set": spec.name,
            "version": feature_set.version,
            "params": dict(feature_set.concrete(spec.params)),
            "media": table.media_fingerprint,
            **({"code": code} if (code := set_sha256(spec.name)) else {}),
        }
    )


def set_writer(store: Path, spec: SetSpec, table: ClipTable) -> SetWriter:
    """The writer for the features that `spec` gives for the clips of `table`."""
    feature_set = get_set(spec.name)
    return SetWriter(
        store,
        spec.name,
        feature_key(spec, table),
        tuple(clip.clip_id for clip in table.clips),
        feature_set.level_of(spec.params),
        tuple(feature_set.shape(spec.params)),
        table.media_fingerprint,
        str(spec),
        feature_set.concrete(spec.params),
        feature_set.version,
    )


def stored_sets(store: Path) -> Iterator[SetInfo]:
    """The description of every finished set in the store, by name and key; those that can't be read are passed over."""
    for folder in set_folders(store):
        try:
            yield read_info(folder)
        except EmofuseError:
            continue


def set_folders(store: Path) -> list[Path]:
    """The folders of all finished sets in the store, also of damaged ones."""
    found = sorted(path.parent for path in store.glob("*/*/set.json"))
    return [folder for folder in found if not folder.name.startswith(".")]


def open_set(store: Path, spec_text: str, table: ClipTable) -> StoredSet:
    """Open a set for the clips of `table`: `faces:size=48`, or the name of an imported one.

    One that was never extracted, or was made from other clips, is told with the command to run.
    """
    name = spec_text.partition(":")[0]
    if name not in set_names():
        return _open_imported(store, spec_text, table)
    spec = parse_spec(spec_text)
    try:
        folder = store / name / feature_key(spec, table)
    except AbsentModel:
        found = _of_absent_model(store, spec, table)
        if found is None:
            raise
        folder = found
    clips = str(table.file or "CLIPS")
    command = shlex.join(["emofuse", "features", "extract", clips, "-s", str(spec), "-o", str(store)])
    if (folder / "set.json").exists():
        return StoredSet(folder, f"extract it again, of its clips only the damaged are read anew: `{command}`")
    raise EmofuseError(f"{_why_absent(store, spec, table)}; run `{command}`.")


def _of_absent_model(store: Path, spec: SetSpec, table: ClipTable) -> Path | None:
    """The one set that was extracted by this spec where its model lies: it can be read where that doesn't."""
    found = [
        info.key
        for info in stored_sets(store)
        if info.spec == str(spec) and info.media_fingerprint == table.media_fingerprint
    ]
    return store / spec.name / found[0] if len(found) == 1 else None


def _why_absent(store: Path, spec: SetSpec, table: ClipTable) -> str:
    found = [info for info in stored_sets(store) if info.name == spec.name]
    params = dict(get_set(spec.name).concrete(spec.params))
    same = [info for info in found if dict(info.params) == params]
    other_version = (
        f"Feature set '{spec}' in {store} was made by another version of its extractor than this emofuse has"
    )
    if any(info.media_fingerprint == table.media_fingerprint for info in same):
        return other_version
    if same:
        return (
            f"Feature set '{spec}' in {store} was extracted from another clip table (media "
            f"{same[0].media_fingerprint[:12]}, this table's are {table.media_fingerprint[:12]})"
        )
    others = sorted({info.spec for info in found if info.media_fingerprint == table.media_fingerprint})
    for info in found:
        if info.spec == str(spec) and info.media_fingerprint == table.media_fingerprint:
            then, now = (_differing(one, other) for one, other in ((info.params, params), (params, info.params)))
            if not then:  # an earlier release knew less of it
                return other_version
            return f"Feature set '{spec}' in {store} was extracted where it meant {then}, but here it means {now}"
    hint = f" (there is {', '.join(others)})" if others else ""
    return f"Feature set '{spec}' has not been extracted into {store}{hint}"


def _differing(params: Mapping[str, Value], others: Mapping[str, Value]) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(params.items()) if others.get(name) != value)


def _open_imported(store: Path, name: str, table: ClipTable) -> StoredSet:
    imported = [info for info in stored_sets(store) if info.imported]
    same = [info for info in imported if info.name == name]
    if not same:
        for folder in set_folders(store):
            if folder.parent.name == name:
                StoredSet(folder)  # which tells the damage
        raise unknown_name("feature set", name, {*set_names(), *(info.name for info in imported)})
    ids = ids_fingerprint(clip.clip_id for clip in table.clips)
    for info in same:
        if info.ids_fingerprint == ids:
            return StoredSet(store / name / info.key)
    raise EmofuseError(
        f"Feature set {name!r} in {store} was imported for another clip table (clip ids "
        f"{same[0].ids_fingerprint[:12]}, this table's are {ids[:12]}); run "
        f"`emofuse features import CLIPS SOURCE --name {shlex.quote(name)} -o {shlex.quote(str(store))}`."
    )
