"""MELD (Poria and others 2019): utterances of Friends with their dialogues; official splits."""

import re
from collections import Counter
from pathlib import Path

import pyarrow as pa

from features.clips import Clip, ClipTable
from features.datasets import Adapter, Option
from features.datasets.folders import AUDIO, VIDEO, files_below, listed, warn
from features.errors import EmofuseError
from features.spelling import key
from features.tables.user_tables import id_texts, read_user_table
from features.walk import walk

_CSVS = {"train": "train_sent_emo.csv", "val": "dev_sent_emo.csv", "test": "test_sent_emo.csv"}
_COUNTS = {"train": 9989, "val": 1109, "test": 2610}
_FOLDERS = {"train": "train", "dev": "val", "output": "test", "test": "test"}
_COLUMNS = ("Speaker", "Emotion", "Dialogue_ID", "Utterance_ID")
_NAME = re.compile(r"dia(\d+)_utt(\d+)", re.IGNORECASE)
_KNOWN = {
    "train/dia125_utt3": "its file is broken, as is known",
    "val/dia110_utt7": "it was never given out, as is known",
}
_EXPECTED = "MELD's train_sent_emo.csv, dev_sent_emo.csv and test_sent_emo.csv beside train_splits/dia0_utt0.mp4, ..."


def read(root: Path, *, label: str, group: str) -> ClipTable:
    """The utterances with an emotion (or sentiment) in lower case; `clip_id` is `train/dia0_utt0`.

    Groups are dialogues, or speakers, whom the official splits share.
    """
    files = _files(root)
    clips, missing = [], []
    for split, path in _tables(root).items():
        rows = _rows(path, label.capitalize())
        if len(rows) != _COUNTS[split]:
            warn(f"{path.name}: MELD has {_COUNTS[split]} rows there, here are {len(rows)}")
        for speaker, said, dialogue, utterance in rows:
            clip_id = f"{split}/dia{dialogue}_utt{utterance}"
            if clip_id in _KNOWN:
                warn(f"{clip_id} is left out: {_KNOWN[clip_id]}")
            elif clip_id not in files:
                missing.append(clip_id)
            else:
                inside = str(files[clip_id].relative_to(root))
                who = f"{split}/dia{dialogue}" if group == "dialogue" else key(speaker)
                clips.append(Clip(clip_id, inside, split, said.lower(), who, dataset="meld"))
    if missing:
        warn(f"left out, no file: {listed(missing)}")
    if not clips:
        raise EmofuseError(f"{root}: expected {_EXPECTED}, but none of the {len(missing)} rows has a file.")
    if twice := [clip_id for clip_id, count in Counter(clip.clip_id for clip in clips).items() if count > 1]:
        raise EmofuseError(f"{root}: MELD's tables hold {twice[0]} twice.")
    return ClipTable(tuple(clips), root.resolve())


def _tables(root: Path) -> dict[str, Path]:
    by_name = {path.name.lower(): path for path in walk(root, _EXPECTED).files}
    found = {split: by_name[name] for split, name in _CSVS.items() if name in by_name}
    if "train" not in found:
        raise EmofuseError(f"{root}: expected {_EXPECTED}, but there is no {_CSVS['train']}.")
    for split in _CSVS.keys() - found.keys():
        warn(f"{root}: no {_CSVS[split]}, so no {split} clips")
    return found


def _rows(path: Path, label: str) -> list[tuple[str, ...]]:
    """Speaker, label, dialogue and utterance of each row."""
    wanted = [label if name == "Emotion" else name for name in _COLUMNS]
    table = read_user_table(path, dict.fromkeys(("Speaker", label), pa.string()), "one of MELD's tables")
    if absent := [name for name in wanted if name not in table.column_names]:
        raise EmofuseError(f"{path}: expected MELD's column {absent[0]!r}, but the columns are {table.column_names}.")
    columns = [id_texts(path, name, table[name]) for name in wanted]
    if empty := [name for name, column in zip(wanted, columns, strict=True) if None in column]:
        raise EmofuseError(f"{path}: the column {empty[0]!r} has empty fields.")
    return list(zip(*columns, strict=True))


def _files(root: Path) -> dict[str, Path]:
    """The file of each id, told by the outermost folder that names a split; twins named final_videos... are told."""
    found: dict[str, Path] = {}
    twins, others = [], []
    for path in files_below(root, VIDEO | AUDIO, _EXPECTED):
        match = _NAME.fullmatch(path.stem)
        folders = (re.split(r"[\W_]", part.lower())[0] for part in path.relative_to(root).parts[:-1])
        splits = [_FOLDERS[word] for word in folders if word in _FOLDERS]
        if path.stem.lower().startswith("final_videos"):
            twins.append(path.name)
        elif not match or not splits:
            others.append(path.name)
        else:
            clip_id = f"{splits[-1]}/dia{int(match[1])}_utt{int(match[2])}"
            if found.setdefault(clip_id, path) != path:
                raise EmofuseError(f"MELD clip {clip_id} is there twice: {found[clip_id]} and {path}; remove one.")
    if twins:
        warn(f"passed over, second versions of test clips (final_videos_...): {listed(twins)}")
    if others:
        warn(f"passed over, not named as MELD's clips or in no split's folder: {listed(others)}")
    return found


ADAPTER = Adapter(
    name="meld",
    summary="MELD: utterances of Friends, seven emotions, official splits; the broken and missing clips are told.",
    read=read,
    root="the folder with the three *_sent_emo.csv and train_splits, dev_splits_complete, output_repeated_splits_test",
    example="meld MELD.Raw -o clips.parquet",
    options={
        "label": Option("emotion", "Which column is the label.", ("emotion", "sentiment")),
        "group": Option("dialogue", "What a group is; the splits share the speakers.", ("dialogue", "speaker")),
    },
    access="MELD's site (affective-meld) and declare-lab/MELD on GitHub",
)
