"""Still images in one folder per class, with or without folders for the splits: material for a backbone CNN."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from features.clip_names import with_one_spelling
from features.clips import Clip, ClipTable, hash_media
from features.datasets import Adapter, Option
from features.datasets.duplicates import DUPLICATES, without_duplicates
from features.datasets.folders import IMAGES, files_below, group_in, group_pattern, ids_of, split_of, warn
from features.errors import EmofuseError, WrongUse

_EXPECTED = "images in one folder per class, such as train/happy/1.png or happy/1.png"


def read(root: Path, *, val_share: float, group: str, duplicates: str) -> ClipTable:
    """One clip per image, its class the name of its folder, in lower case.

    `clip_id` is the path without its suffix, or with it where several images differ by it alone; these are one group.

    Where there is no folder for val, `val_share` of the training groups become val, by a hash of their name. `group` is
    a regular expression on the file's stem whose first group is the group_id; without it, images of equal bytes are a
    group. Test images in no folder of a training class are unlabelled. With `duplicates` drop, images of train (or val)
    whose bytes recur in val or test are left out.
    """
    if not 0 <= val_share < 1:
        raise WrongUse(f"val_share is at least 0 and below 1, but got {val_share}.")
    pattern = group_pattern(group)
    clips, nowhere = [], []
    places = [path.relative_to(root) for path in files_below(root, IMAGES, _EXPECTED)]
    named = ids_of(root, places, "images")
    for place in places:
        path = root / place
        if len(place.parts) < 2:
            raise EmofuseError(f"{path}: expected {_EXPECTED}, but this image is in no class folder.")
        splits = [split for part in place.parts[:-1] if (split := split_of(part))]
        if not splits:
            nowhere.append(place)
        clips.append(
            Clip(
                clip_id=named[place],
                path=str(place),
                split=splits[-1] if splits else "train",
                label=place.parts[-2].lower(),
                group_id=group_in(pattern, path, path.stem) if pattern else "",
                dataset="images",
            )
        )
    _tell_unknown(nowhere, all_of_them=len(nowhere) == len(places))
    # Before val is drawn, or a group of two spellings could lie on both sides.
    table = with_one_spelling(ClipTable(tuple(clips), root.resolve()), root)
    table = _unlabelled_test(hash_media(table))
    # Of two images that differ by their suffix alone, one may be made from the other.
    first = {str(Path(str(clip.path)).with_suffix("")): clip for clip in reversed(table.clips)}
    alike = [first[str(Path(str(clip.path)).with_suffix(""))] for clip in table.clips]
    clips = [
        clip if clip.group_id else replace(clip, group_id=f"image-{other.media_sha256}")
        for clip, other in zip(table.clips, alike, strict=True)
    ]
    if not any(clip.split == "val" for clip in clips):
        clips = [replace(c, split="val") if c.split == "train" and _drawn(c.group_id, val_share) else c for c in clips]
    if duplicates == "drop":
        clips = [clips[i] for i in without_duplicates(clips)]
        if pattern is None:
            # What shares its name with a picture that was dropped may be the same in another kind of file.
            alike = [replace(clip, media_sha256=clip.group_id) for clip in clips]
            clips = [clips[i] for i in without_duplicates(alike)]
    return replace(table, clips=tuple(clips))


def _tell_unknown(places: Sequence[Path], *, all_of_them: bool) -> None:
    """Say which folders name no split, unless there are class folders and nothing else."""
    unknown = Counter(place.parts[0] for place in places if len(place.parts) > 2 or not all_of_them)
    if unknown:
        shown = ", ".join(f"{folder} ({count})" for folder, count in sorted(unknown.items())[:5])
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        warn(f"no split is named by the folders {shown}{more}: their images are taken for train")


def _unlabelled_test(table: ClipTable) -> ClipTable:
    """Drop the labels of test images that lie in no folder of a training class."""
    trained = {clip.label for clip in table.split("train")}
    strange = {clip.label for clip in table.split("test")} - trained
    if strange:
        warn(f"test images in {', '.join(sorted(map(str, strange)))} are unlabelled: train has no such class")
    clips = (replace(c, label=None) if c.split == "test" and c.label in strange else c for c in table.clips)
    return replace(table, clips=tuple(clips))


def _drawn(group_id: str, share: float) -> bool:
    # A hash, not a random number: adding images later moves none of the others.
    return int(hashlib.sha256(group_id.encode()).hexdigest()[:8], 16) < share * 2**32


ADAPTER = Adapter(
    name="images",
    summary="Still images in one folder per class (FER2013 and SFEW image folders), for a backbone CNN.",
    read=read,
    root="the folder with train/, val/, test/ and their class folders, or with the class folders",
    example=r"images SFEW -o stills.parquet --group '(.+)_\d+_\d+$'",
    options={
        "val_share": Option(0.1, "Share of the training images that become val when there is no val folder."),
        "group": Option("", "Regular expression on the file name; its first group is the subject or film."),
        **DUPLICATES,
    },
)
