"""Several corpora as one clip table: ids and groups begin with the corpus, labels are brought to common words."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import yaml

from features.clip_names import with_one_spelling
from features.clips import Clip, ClipTable, is_uri
from features.errors import EmofuseError, WrongUse
from features.names import unknown_name
from features.progress import say
from features.spelling import key

# In a file of labels: what holds for every corpus.
ALL = "all"
Labels = Mapping[str, Mapping[str, str | None]]


def merge_tables(tables: Sequence[ClipTable], labels: Labels, names: Sequence[str] = ()) -> ClipTable:
    """One table of the clips of all; splits stay as they are, paths become absolute.

    `names` are the corpora's, by default what their clips say (`dataset`). `labels` gives for a corpus (or `all`) the
    word for a label; None leaves its clips out. Errors: continuous labels, corpora of one name, labels or corpora in
    `labels` that aren't there.
    """
    corpora = _named(tables, names)
    for corpus in labels.keys() - {ALL, *corpora}:
        raise unknown_name("corpus in the file of labels", corpus, [*corpora, ALL])
    known = {label for table in tables for label in table.classes}
    for label in labels.get(ALL, {}).keys() - known:
        raise unknown_name("label in the file of labels, under `all`,", label, known)
    clips: list[Clip] = []
    for corpus, table in corpora.items():
        if table.annotations:
            raise EmofuseError(
                f"{_where(table)}: clips with continuous labels can't be merged, only those with classes."
            )
        for label in labels.get(corpus, {}).keys() - set(table.classes):
            raise unknown_name(f"label of {corpus} in the file of labels", label, table.classes)
        words = {**labels.get(ALL, {}), **labels.get(corpus, {})}
        clips += _of_corpus(corpus, table, words)
    merged = with_one_spelling(ClipTable(tuple(clips), Path.cwd()), "the merged table")
    _tell(merged.clips, list(corpora))
    return merged


def read_labels(path: Path) -> Labels:
    """A YAML file of labels: for each corpus, or `all`, a word for a label; an empty word leaves its clips out."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise EmofuseError(f"{path}: can't be read as YAML ({' '.join(str(error).split())[:200]}).") from None
    if not isinstance(content, dict) or not all(isinstance(words, dict) for words in content.values()):
        raise EmofuseError(
            f"{path}: expected a mapping of labels for each corpus, such as `ravdess: {{calm: neutral}}`."
        )
    for corpus, words in content.items():
        # `no: neutral` is a truth for YAML.
        odd = [word for pair in words.items() for word in pair if not isinstance(word, str | None) or word == ""]
        if odd or None in words:
            what = repr(odd[0]) if odd else "an empty one"
            raise EmofuseError(
                f"{path}: {corpus}: labels are words (in quotes where YAML takes them else), but got {what}."
            )
    return content


def _named(tables: Sequence[ClipTable], names: Sequence[str]) -> dict[str, ClipTable]:
    if names and len(names) != len(tables):
        raise WrongUse(f"Expected a --name for each of the {len(tables)} tables, or none, but got {len(names)}.")
    if len(tables) < 2:
        raise WrongUse("Expected two clip tables or more to merge.")
    found: dict[str, ClipTable] = {}
    for table, name in zip(tables, names or [_name(table) for table in tables], strict=True):
        if "/" in name or key(name) in {"", ALL, *map(key, found)}:
            raise WrongUse(
                f"{_where(table)}: the corpus {name!r} can't be told from the others, or has a slash; give each table "
                "a --name of its own."
            )
        found[name] = table
    return found


def _name(table: ClipTable) -> str:
    datasets = {clip.dataset for clip in table.clips}
    return datasets.pop() if len(datasets) == 1 else table.file.stem if table.file else ""


def _where(table: ClipTable) -> str:
    return str(table.file or table.root)


def _of_corpus(corpus: str, table: ClipTable, words: Mapping[str, str | None]) -> list[Clip]:
    gone = Counter(label for clip in table.clips if (label := clip.label) is not None and words.get(label, "") is None)
    if gone:
        told = ", ".join(f"{count} {label}" for label, count in sorted(gone.items(), key=str))
        say(f"{corpus}: left out by the file of labels: {told}")
    return [
        replace(
            clip,
            clip_id=f"{corpus}/{clip.clip_id}",
            group_id=f"{corpus}/{clip.group_id}",
            label=None if clip.label is None else words.get(clip.label, clip.label),
            path=_absolute(table.root, clip.path),
            dataset=corpus,
        )
        for clip in table.clips
        if clip.label not in gone
    ]


def _absolute(root: Path, path: str | None) -> str | None:
    return path if path is None or is_uri(path) else os.path.normpath(root / path)


def _tell(clips: Sequence[Clip], corpora: Sequence[str]) -> None:
    """Say which classes not all corpora have: a model may then tell corpora apart instead of emotions."""
    having: dict[str, set[str]] = {}
    for clip in clips:
        if clip.label is not None:
            having.setdefault(clip.label, set()).add(clip.dataset)
    partial = {label: sorted(there) for label, there in sorted(having.items()) if len(there) < len(corpora)}
    if partial:
        told = "; ".join(f"{label} ({', '.join(there)})" for label, there in list(partial.items())[:8])
        more = f"; and {len(partial) - 8} more" if len(partial) > 8 else ""
        say(f"warning: classes that not every corpus has: {told}{more}; a file of labels (--labels) can join them")
