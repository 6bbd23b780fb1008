"""Clips of one's own: a folder per class, with or without folders for the splits, or a CSV with path and label."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from features.clip_names import with_one_spelling
from features.clips import Clip, ClipTable, hash_media, is_uri
from features.datasets import Adapter, Option, Value
from features.datasets.drawing import DRAWN, drawn, with_val
from features.datasets.duplicates import without_duplicates
from features.datasets.folders import (
    AUDIO,
    VIDEO,
    files_below,
    group_in,
    group_pattern,
    ids_of,
    is_media,
    split_of,
    warn,
)
from features.datasets.table import read_columns, rows
from features.disk.sizes import MAX_GB
from features.errors import EmofuseError, WrongUse

_EXPECTED = "clips in one folder per class, such as happy/1.mp4 or train/happy/1.mp4"


def read(root: Path, *, groups: str, media: str, duplicates: str, **drawing: Value) -> ClipTable:
    """The clips with their splits: those that folders or a column name, else drawn (features.datasets.drawing).

    `clip_id` is the path without its suffix, where the table has none. `groups` is a column of the table, the number of
    a folder's level below `root` (1 is the first) or a regular expression on the path. Without it, clips of equal bytes
    or of one name are a group, and every other is its own.
    """
    if root.is_dir():
        table, official = _of_folder(root, groups, media)
    else:
        table, official = _of_file(root, groups)
    # Before splits are drawn, or a group of two spellings could lie on both sides.
    table = with_one_spelling(table, root)
    if not all(clip.group_id for clip in table.clips):
        table = _alone(table)
    table = replace(table, clips=_in_splits(root, table.clips, official, drawing))
    if duplicates == "drop":
        hashed = hash_media(table).clips
        table = replace(table, clips=tuple(table.clips[i] for i in without_duplicates(hashed)))
    return table


def _in_splits(root: Path, clips: Sequence[Clip], official: bool, drawing: dict[str, Value]) -> tuple[Clip, ...]:
    if not official:
        return drawn(clips, **drawing)  # type: ignore[arg-type]
    if drawing["folds"]:
        raise WrongUse(f"{root}: its clips have splits already, so that no --folds can be drawn; leave --folds out.")
    return with_val(clips, str(drawing["split"]), int(drawing["seed"]))


def _of_folder(root: Path, groups: str, media: str) -> tuple[ClipTable, bool]:
    """The clips below a folder, groups empty where none are told, and whether folders name their splits."""
    found = files_below(root, VIDEO | AUDIO, _EXPECTED)
    films = [path for path in found if is_media(path, VIDEO)] if media != "audio" else []
    chosen = films if media != "audio" and (films or media == "video") else [f for f in found if is_media(f, AUDIO)]
    if not chosen:
        raise EmofuseError(f"{root}: expected {_EXPECTED}, but found no {media}, only other files.")
    if left := len(found) - len(chosen):
        warn(f"{left} of {len(found)} files are passed over: those taken are {'video' if films else 'sound'} (--media)")
    places = [path.relative_to(root) for path in chosen]
    level = int(groups) if groups.isdigit() else 0
    pattern = None if level else group_pattern(groups)
    official = _has_splits(root, places)
    # The class is the first folder that names neither the split nor the group.
    label_level = next(at for at in (1, 2, 3) if at != level and not (official and at == 1))
    if level == 1 and official:
        raise WrongUse(f"--groups 1: the first level of {root} are the splits; count from them, as in --groups 3.")
    named, dataset, clips = ids_of(root, places, "clips"), root.resolve().name, []
    for place in places:
        folders = place.parts[:-1]
        if len(folders) < max(level, label_level):
            wanted = "group and class" if level else "class"
            raise EmofuseError(f"{root / place}: expected {_EXPECTED}, but no folder of it names its {wanted}.")
        group = folders[level - 1] if level else group_in(pattern, root / place, place.as_posix()) if pattern else ""
        split = str(split_of(folders[0])) if official else "train"
        clips.append(Clip(named[place], str(place), split, folders[label_level - 1], group, dataset=dataset))
    return ClipTable(tuple(clips), root.resolve()), official


def _has_splits(root: Path, places: Sequence[Path]) -> bool:
    """Whether the first folders are splits; some that are and some that aren't are refused."""
    first = Counter(place.parts[0] for place in places if len(place.parts) > 1)
    splits = [name for name in first if split_of(name)]
    others = sorted(first.keys() - set(splits))
    if splits and others:
        raise EmofuseError(
            f"{root}: expected either folders of splits or of classes, but {splits[0]!r} names a split and "
            f"{others[0]!r} none; put all splits, or all classes, side by side."
        )
    return bool(splits)


def _of_file(root: Path, groups: str) -> tuple[ClipTable, bool]:
    """The clips of a table, groups empty where none are told, and whether it has their splits."""
    columns = read_columns(root, MAX_GB, ("path", "label"), others=[groups] if groups.isidentifier() else [])
    paths = columns["path"]
    if (bare := paths.count(None) + paths.count("")) > 0:
        raise EmofuseError(f"{root}: {bare} rows have no path.")
    if groups in columns:
        columns["group_id"] = columns[groups]
        if (bare := columns[groups].count(None)) > 0:
            raise EmofuseError(f"{root}: {bare} rows have no {groups}, which --groups names.")
    elif groups:
        if groups.isdigit() or groups.isidentifier():
            raise WrongUse(f"--groups {groups}: {root} has no column of that name.")
        pattern = group_pattern(groups)
        columns["group_id"] = [group_in(pattern, Path(path), Path(path).as_posix()) for path in paths if pattern]
    elif "group_id" not in columns:
        columns["group_id"] = [""] * len(paths)
    official = "split" in columns
    named = ids_of(root, list(dict.fromkeys(map(Path, paths))), "clips")
    columns.setdefault("clip_id", [named[Path(path)] for path in paths])
    columns.setdefault("split", ["train"] * len(paths))
    folder = root.resolve().parent
    own = {name: column for name, column in columns.items() if name != groups or name == "group_id"}
    return ClipTable(rows(root, folder, own), folder), official


def _alone(table: ClipTable) -> ClipTable:
    """Groups for clips without one: of equal bytes, or of one name but for the suffix, they lie together."""
    warn(
        "no --groups (speaker, subject or film): clips of one person may fall on both sides of a split, and no leak of "
        "that kind can be seen; scores may be too high"
    )
    by_size: dict[int, list[Clip]] = defaultdict(list)
    for clip in table.clips:
        if clip.path and not is_uri(clip.path) and (table.root / clip.path).is_file():
            by_size[(table.root / clip.path).stat().st_size].append(clip)
    # Files of different sizes differ: most need not be read here.
    like = [clip for clips in by_size.values() if len(clips) > 1 for clip in clips]
    digests = {clip.clip_id: clip.media_sha256 for clip in hash_media(replace(table, clips=tuple(like))).clips}
    group_of: dict[str, str] = {}
    for clip in table.clips:
        marks = {str(Path(str(clip.path)).with_suffix("")), digests.get(clip.clip_id) or clip.clip_id}
        known = sorted({group_of[mark] for mark in marks if mark in group_of}) or [clip.clip_id]
        joined = [mark for mark, group in group_of.items() if group in known[1:]] if known[1:] else []
        group_of.update(dict.fromkeys([*marks, *joined], known[0]))
    found = [group_of[str(Path(str(clip.path)).with_suffix(""))] for clip in table.clips]
    clips = (replace(clip, group_id=clip.group_id or group) for clip, group in zip(table.clips, found, strict=True))
    return replace(table, clips=tuple(clips))


ADAPTER = Adapter(
    name="folder",
    summary="Clips of your own: a folder per class (with or without split folders), or a CSV with path and label.",
    read=read,
    root="the folder with happy/1.mp4 or train/happy/1.mp4 and the like, or a .csv with the columns path and label",
    example=r"folder my_clips -o clips.parquet --groups '(?P<group>\d+)_' --split 70/15/15",
    options={
        "groups": Option("", "Speaker or film: a column, a folder's level (2) or a pattern ('(?P<group>[0-9]+)_')."),
        "media": Option("auto", "Which files; auto: video where there is any, else sound.", ("auto", "video", "audio")),
        "duplicates": Option("keep", "Clips of train (or val) whose file recurs in val or test.", ("drop", "keep")),
        **DRAWN,
    },
)
