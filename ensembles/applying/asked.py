"""Which clips are to be predicted: media files, folders, globs, clip tables, a list on stdin; and their windows."""

import glob
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

import pyarrow as pa

from ensembles.bundle.predict import media_files
from features.clips import ClipTable, is_uri, read_clips
from features.decode.length import length_s
from features.errors import ClipFailure, EmofuseError, WrongUse
from features.media_files import AUDIO, IMAGES, VIDEO, is_media
from features.progress import say
from features.sets import Media
from features.tables.user_tables import id_texts, read_user_table

_MEDIA = VIDEO | AUDIO | IMAGES
_STDIN = "-"
_TABLES = (".parquet", ".csv", ".tsv")
_COLUMNS = {"path": pa.string(), "clip_id": pa.string(), "start_s": pa.float64(), "end_s": pa.float64()}
_REST_S = 0.1  # a rest of a recording this long is no window of its own


@dataclass(frozen=True)
class Asked:
    """One clip that is to be predicted: `name` is its clip_id, or its path where it has none."""

    name: str
    path: str
    media: Media

    @property
    def key(self) -> tuple[str, float, float | None]:
        """What tells it from all others."""
        return self.name, self.media.start_s, self.media.end_s


def asked(given: Sequence[str], stdin: TextIO) -> list[Asked]:
    """The clips that the words of a command line mean, each once.

    A word is a media file, a folder of them, a glob, a clip table (.parquet, or a .csv with `path`), or `-`: such
    words on stdin, one a line. In folders and globs what is no media is passed over and told; named, it is refused.
    """
    found: dict[tuple[str, float, float | None], Asked] = {}
    for one in _expanded(given, stdin):
        found.setdefault(one.key, one)
    if not found:
        raise WrongUse("There is no clip to predict: give media files, folders, a clip table, or a list on stdin (-).")
    return list(found.values())


def _expanded(given: Iterable[str], stdin: TextIO) -> Iterator[Asked]:
    for word in given:
        path = Path(word)
        if word == _STDIN:
            yield from _expanded([line for text in stdin if (line := text.rstrip("\r\n"))], stdin)
        elif path.is_dir():
            yield from map(_of_file, media_files([path]))
        elif path.is_file() and path.suffix.lower() in _TABLES:
            yield from asked_of_table(read_clips(path)) if path.suffix.lower() == ".parquet" else _of_csv(path)
        elif not path.exists() and glob.has_magic(word):
            yield from _of_glob(word)
        elif path.is_file() and path.stat().st_size and not is_media(path, _MEDIA):
            raise WrongUse(f"{word}: expected a media file, a folder of them or a clip table, but it is none of these.")
        else:
            yield _of_file(path)


def _of_file(path: Path) -> Asked:
    return Asked(str(path), str(path), Media(path))


def _of_glob(pattern: str) -> Iterator[Asked]:
    paths = [Path(text) for text in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207  absolute ones too
    folders, files = [p for p in paths if p.is_dir()], [p for p in paths if not p.is_dir()]
    kept = [path for path in files if is_media(path, _MEDIA)]
    if over := len(files) - len(kept):
        say(f"{pattern}: passed over: {over} file{'s' * (over > 1)} that are no media")
    inside = [] if kept else [path for folder in folders for path in media_files([folder])]
    if not kept and not inside:
        raise WrongUse(f"{pattern}: no media file has such a name.")
    yield from map(_of_file, kept or inside)


def asked_of_table(table: ClipTable) -> list[Asked]:
    """The clips of a clip table, called by their ids."""
    return [Asked(c.clip_id, c.path or "", _media(table.root, c.path, c.start_s, c.end_s)) for c in table.clips]


def _of_csv(file: Path) -> list[Asked]:
    """The rows of a CSV with `path`, and as it likes `clip_id`, `start_s`, `end_s`; other columns are not read."""
    table = read_user_table(file, _COLUMNS, "a list of clips with a column path")
    if "path" not in table.column_names:
        raise EmofuseError(
            f"{file}: expected a list of clips with a column path, but its columns are {', '.join(table.column_names)}."
        )
    n = len(table)
    columns = {
        name: table[name].cast(kind).to_pylist() if name in table.column_names else [None] * n
        for name, kind in _COLUMNS.items()
    }
    ids = id_texts(file, "clip_id", table["clip_id"]) if "clip_id" in table.column_names else columns["path"]
    found = []
    for row, (name, path) in enumerate(zip(ids, columns["path"], strict=True), start=1):
        if not path:
            raise EmofuseError(f"{file}: row {row} has no path.")
        start_s, end_s = columns["start_s"][row - 1] or 0.0, columns["end_s"][row - 1]
        if not 0 <= start_s < (float("inf") if end_s is None else end_s):
            raise EmofuseError(f"{file}: row {row}: expected 0 <= start_s < end_s, but got {start_s:g} and {end_s}.")
        found.append(Asked(name or path, path, _media(file.resolve().parent, path, start_s, end_s)))
    return found


def _media(root: Path, path: str | None, start_s: float, end_s: float | None) -> Media:
    # What is no local file gives a row with its reason, as a missing file does.
    place = Path(path) if path and is_uri(path) else root / (path or "(no media file)")
    return Media(place, start_s, end_s)


def windows(clips: Sequence[Asked], window_s: float, step_s: float) -> list[Asked]:
    """Each clip as parts of `window_s` seconds, one every `step_s`; the last one ends where the clip does.

    A clip that is shorter is one part; so is one that can't be opened, whose row tells why.
    """
    if not window_s > 0 or not step_s > 0:
        raise WrongUse(f"--window and --step are seconds above 0, but got {window_s:g} and {step_s:g}.")
    return [part for clip in clips for part in _parts(clip, window_s, step_s)]


def _parts(clip: Asked, window_s: float, step_s: float) -> list[Asked]:
    try:
        whole_s = length_s(clip.media)
    except ClipFailure:
        return [clip]
    if whole_s <= window_s:
        return [clip]
    starts = [n * step_s for n in range(int((whole_s - window_s) / step_s + 1e-6) + 1)]
    if whole_s - (starts[-1] + window_s) > _REST_S:
        starts.append(whole_s - window_s)
    begin = clip.media.start_s
    return [
        replace(clip, media=Media(clip.media.path, round(begin + at, 3), round(begin + at + window_s, 3)))
        for at in starts
    ]


def told_apart(clips: Sequence[Asked]) -> dict[str, str]:
    """Short names for a person by clip's name: that of the file, with as many folders as tell two apart."""
    parts = {clip.name: Path(clip.name).parts for clip in clips}
    shown: dict[str, str] = {}
    left = list(parts)
    for depth in range(1, max(map(len, parts.values()), default=1) + 1):
        short = {name: "/".join(parts[name][-depth:]) for name in left}
        counts: dict[str, int] = {}
        for text in short.values():
            counts[text] = counts.get(text, 0) + 1
        shown |= {name: text for name, text in short.items() if counts[text] == 1}
        left = [name for name in left if name not in shown]
    return {name: shown.get(name, name) for name in parts}
