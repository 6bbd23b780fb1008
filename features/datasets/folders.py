"""What the adapters of folder layouts share."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from features.errors import EmofuseError, WrongUse
from features.media_files import AUDIO, IMAGES, VIDEO, is_media, media_below
from features.progress import say
from features.spelling import key

__all__ = [
    "AUDIO",
    "IMAGES",
    "VIDEO",
    "files_below",
    "group_in",
    "group_pattern",
    "ids_of",
    "is_media",
    "listed",
    "split_of",
    "warn",
]

SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "publictest": "val",
    "test": "test",
    "testing": "test",
    "privatetest": "test",
}


def split_of(folder: str) -> str | None:
    """The split that a folder is named after, whole or by its first word: `Val_Aligned_Faces` is val."""
    return SPLIT_FOLDERS.get(key(folder)) or SPLIT_FOLDERS.get(re.split(r"[\W_]+", key(folder))[0])


def ids_of(root: Path, places: Sequence[Path], what: str) -> dict[Path, str]:
    """Each file's id, its path without suffix; those that share a name keep their suffix, and are told as `what`."""
    counts = Counter(place.with_suffix("") for place in places)
    shared = [place for place in places if counts[place.with_suffix("")] > 1]
    if shared:
        names = " and ".join(map(str, shared[:2]))
        warn(f"{root}: {len(shared)} {what} share a name but for the suffix, {names}: their ids keep it")
    return {place: str(place if counts[place.with_suffix("")] > 1 else place.with_suffix("")) for place in places}


def group_pattern(text: str) -> re.Pattern[str] | None:
    """A user's regular expression whose part named `group`, else its first part in parentheses, names the group."""
    try:
        pattern = re.compile(text) if text else None
    except re.error as error:
        raise WrongUse(f"group {text!r} is no regular expression ({error}).") from None
    if pattern is not None and pattern.groups < 1:
        raise WrongUse(f"group {text!r} needs a pair of parentheses around the part that names the group.")
    return pattern


def group_in(pattern: re.Pattern[str], path: Path, text: str) -> str:
    """The group that `text` of the file `path` names."""
    match = pattern.search(text)
    group = match and match["group" if "group" in pattern.groupindex else 1]
    if not group:
        raise EmofuseError(f"{path}: its name does not match the group pattern {pattern.pattern!r}.")
    return group


def listed(names: Sequence[str]) -> str:
    """How many there are, and the first of them."""
    return f"{len(names)} ({', '.join(names[:5])}{', ...' if len(names) > 5 else ''})"


def files_below(root: Path, kinds: Collection[str], expected: str, *, tell: bool = True) -> list[Path]:
    """All media files of these kinds below `root`, sorted; what is passed over is told (features.media_files).

    None at all, or no such folder, is an error that says what was `expected` there.
    """
    found = media_below(root, kinds, expected, tell=tell)
    if not found:
        raise EmofuseError(f"{root}: expected {expected}, but found no such file (archives must be unpacked first).")
    return found


def warn(text: str) -> None:
    """Something of the corpus is not as published; the work goes on."""
    say(f"warning: {text}")
