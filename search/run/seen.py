"""What pretrained parts of a search have seen: a backbone's stills, and the clips behind weights of another run.

Layers of a backbone are read on every partition. Fitted on a clip that is held out there, they would know its label,
and held-out scores, fusion weights and nested estimates would all be too high.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.clips import Clip, ClipTable, read_clips
from features.errors import EmofuseError
from features.files import read_json
from features.spelling import key
from search.recipe.inputs import source, split_layer
from search.recipe.recipe import Recipe
from search.run.partitions import Partition
from search.run.planned import REMEDY, WHAT
from search.run.predictions import read_predictions


@dataclass(frozen=True)
class _Seen:
    """What something was `fitted` on and what it was `stopped` on; `what` says in words what it is."""

    what: str
    fitted: Sequence[Clip]
    stopped: Sequence[Clip]


def refuse_seen(recipe: Recipe, clips: ClipTable, stills: ClipTable | None, partitions: Sequence[Partition]) -> None:
    """Refuse stills, and weights of another run, that share media, clip ids or groups with clips that are held out.

    Nothing may be fitted on held-out or test clips, nor stopped on test clips; a backbone may be stopped on the
    held-out clips of a partition, as the trials on it are. `allow_shared_groups` of the recipe lets groups through.
    """
    if not _reads_pretrained(recipe):
        return
    seen = list(_of_weights(recipe))
    if stills is not None:
        seen.append(_Seen("the stills", stills.split("train"), stills.split("val")))
    for one in seen:
        for partition in partitions:
            held_out = [clips.by_id(clip_id) for clip_id in partition.held_out_ids]
            where = f"partition {partition.name!r} holds out"
            _refuse(recipe, one.what, "fitted", one.fitted, where, held_out)
        for verb, own in (("fitted", one.fitted), ("stopped", one.stopped)):
            _refuse(recipe, one.what, verb, own, "the test split has", clips.split("test"))


def _reads_pretrained(recipe: Recipe) -> bool:
    return any(
        entry.weights or entry.weights_from or any(split_layer(source(spec)) for spec in entry.input_specs().values())
        for stage, entry in recipe.all_entries()
        if stage == "clips"
    )


def _refuse(recipe: Recipe, what: str, verb: str, ours: Sequence[Clip], where: str, theirs: Sequence[Clip]) -> None:
    def media(clip: Clip) -> tuple[object, ...]:
        # Where groups may be shared, so may the files that clips of one group are cut from.
        return (clip.media_sha256, *((clip.start_s, clip.end_s) if recipe.allow_shared_groups else ()))

    ids = {key(clip.clip_id): clip for clip in ours}
    files = {media(clip): clip for clip in ours if clip.media_sha256}
    groups = {} if recipe.allow_shared_groups else {key(clip.group_id): clip for clip in ours}
    for clip in theirs:
        for kind, found in (
            ("clip_id", ids.get(key(clip.clip_id))),
            ("media", files.get(media(clip))),
            (f"group {clip.group_id!r}", groups.get(key(clip.group_id))),
        ):
            if found is not None:
                raise EmofuseError(_told(what, verb, found, where, clip, kind))


def _told(what: str, verb: str, ours: Clip, where: str, theirs: Clip, kind: str) -> str:
    text = (
        f"A backbone is {verb} on {ours.clip_id!r} of {what}, and {where} {theirs.clip_id!r} of the same {kind}: "
        "what reads its layers or weights would know that clip. Choose other stills or weights, or partitions that "
        "hold out other clips"
    )
    if kind.startswith("group"):
        text += ", or set `allow_shared_groups: true` in the recipe if the official data are made so"
    return f"{text}."


def _of_weights(recipe: Recipe) -> Iterator[_Seen]:
    """What the trials were fitted on whose saved parameters entries start from, and theirs in turn."""
    waiting = [Path(entry.weights) for _, entry in recipe.all_entries() if entry.weights]
    known: set[Path] = set()
    while waiting:
        path = waiting.pop()
        run = path.parent.parent.parent
        if path in known or path.parent.parent.name != "models" or not (run / "run.json").is_file():
            continue
        known.add(path)
        description = read_json(run / "run.json", WHAT, damaged=REMEDY)
        file = next((run / "predictions").glob(f"family=*/{path.parent.name}.parquet"), None)
        if file is None:
            continue
        yield _of_trial(run, file, description)
        entry = file.parent.name.partition("=")[2]
        for stage in description["recipe"]["stages"]:
            if weights := stage["entries"].get(entry, {}).get("weights"):
                waiting.append(Path(weights))


def _of_trial(run: Path, file: Path, description: Mapping[str, Any]) -> _Seen:
    rows = read_predictions(file)
    table = "stills" if rows.footer.stage == "backbone" else "clips"
    pairs = zip(rows.clip_id, rows.group_id, strict=True)
    clips: Sequence[Clip] = [Clip(clip_id, None, "train", None, group) for clip_id, group in pairs]
    with suppress(EmofuseError):  # the table may be gone: ids and groups are known all the same
        clips = read_clips(Path(description[table])).clips
    roles = dict(zip(rows.clip_id, rows.role, strict=True))
    fitted, stopped = ([clip for clip in clips if roles.get(clip.clip_id) == role] for role in ("fit", "held_out"))
    return _Seen(f"the {table} of {run}", fitted, stopped)
