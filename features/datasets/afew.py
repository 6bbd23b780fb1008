"""AFEW, the corpus of EmotiW 2013 to 2019: folders of one class each under Train and Val, an unlabelled Test."""

import re
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

from features.clips import Clip, ClipTable
from features.datasets import Adapter, Option
from features.datasets.afew_faces import bring_in_faces
from features.datasets.folders import VIDEO, files_below, warn
from features.errors import EmofuseError
from features.walk import walk

CLASSES = ("Angry", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise")
# (train, val, test) of 2013, 2014, 2015, 2016 and 2017-2019.
OFFICIAL_COUNTS = ((380, 396, 312), (578, 383, 407), (723, 383, 539), (773, 383, 593), (773, 383, 653))
_SPLIT_FOLDER = re.compile(r"(train|val|test)(_afew|_vid_distr\w*)?", re.IGNORECASE)
_EXPECTED = "AFEW's folders Train/Angry, ..., Val/Angry, ... with .avi files"


def read(root: Path, *, store: str, faces_size: int, faces_colour: bool) -> ClipTable:
    """Clips of all splits; ids recur across splits, so `clip_id` is `train/000046280`; groups are films where known.

    With a `store`, the organisers' aligned faces below `root` are brought into it.
    """
    clips: list[Clip] = []
    places: dict[str, Path] = {}
    unplaced: list[str] = []
    films = _films(root)
    for path in files_below(root, VIDEO, _EXPECTED):
        split, label = _place(path.relative_to(root))
        if split is None or (split != "test" and label is None):
            unplaced.append(str(path.relative_to(root)))
            continue
        clip_id = f"{split}/{path.stem}"
        if places.setdefault(clip_id, path) != path:
            raise EmofuseError(f"AFEW clip {clip_id} is there twice: {places[clip_id]} and {path}; remove one.")
        film = films.get((split, path.stem))
        clips.append(Clip(clip_id, str(path.relative_to(root)), split, label, film or clip_id, dataset="afew"))
    if not clips:
        raise EmofuseError(f"{root}: expected {_EXPECTED}, but found {unplaced[0]!r} and the like.")
    if unplaced:
        warn(f"{len(unplaced)} videos are left out, they are in no class folder of a split: {unplaced[0]}, ...")
    _compare(clips)
    table = ClipTable(tuple(clips), root.resolve())
    if store:
        bring_in_faces(root, table, Path(store), faces_size, faces_colour)
    return table


def _place(path: Path) -> tuple[str | None, str | None]:
    """Split and label that the folders of `path` say."""
    matches = [(i, match) for i, name in enumerate(path.parts[:-1]) if (match := _SPLIT_FOLDER.fullmatch(name))]
    if not matches:
        return None, None
    split, below = matches[-1][1][1].lower(), path.parts[matches[-1][0] + 1 : -1]
    if not below:
        return split, None
    label = next((name for name in CLASSES if name.lower() == below[-1].lower()), None)
    # Test clips lie in a folder of their own (Data in 2013), which is no class.
    return split, label if split == "test" else label or below[-1]


def _films(root: Path) -> dict[tuple[str, str], str]:
    """The film of each (split, id) that an XML file beside the clips tells (attribute MovieTitle)."""
    films: dict[tuple[str, str], str] = {}
    for path in walk(root, _EXPECTED).files:
        if path.suffix.lower() != ".xml":
            continue
        split = next((s for s in ("train", "val", "test") if path.name.lower().startswith(s)), None)
        if split is None:
            continue
        found: dict[str, str] = {}
        try:
            _collect(ET.parse(path).getroot(), found)
        except (ET.ParseError, OSError, ValueError) as error:
            warn(f"{path} can't be read as XML ({error}); its films stay unknown")
        films |= {(split, stem): film for stem, film in found.items()}
    return films


def _collect(element: ET.Element, found: dict[str, str]) -> tuple[set[str], set[str]]:
    """Fill `found` (id -> film) from the smallest elements that hold both; return what is left of both."""
    titles = {value.strip() for key, value in element.attrib.items() if key.lower() == "movietitle" and value.strip()}
    texts = [element.text or "", *(value for key, value in element.attrib.items() if key.lower() != "movietitle")]
    ids = {number for text in texts for number in re.findall(r"(?<!\d)\d{9}(?!\d)", text)}
    for child in element:
        child_titles, child_ids = _collect(child, found)
        titles |= child_titles
        ids |= child_ids
    if len(titles) == 1 and ids:
        found |= dict.fromkeys(ids, titles.pop())
        return set(), set()
    return titles, ids


def _compare(clips: list[Clip]) -> None:
    """Warn where the corpus is not as published."""
    own = sum(clip.group_id == clip.clip_id for clip in clips)
    if own:
        warn(
            f"the film of {own} of {len(clips)} clips is unknown (no XML file with MovieTitle names them): each is "
            "its own group, so clips of one film may fall on both sides of a partition"
        )
    others = sorted({clip.label for clip in clips if clip.label is not None} - set(CLASSES))
    if others:
        warn(f"class folders that AFEW does not have: {', '.join(others)}")
    sizes = Counter(clip.split for clip in clips)
    counts = tuple(sizes[split] for split in ("train", "val", "test"))
    if not any(counts[:2] == known[:2] and counts[2] in (0, known[2]) for known in OFFICIAL_COUNTS):
        warn("{} train, {} val and {} test clips are not the numbers of any year".format(*counts))


ADAPTER = Adapter(
    name="afew",
    summary="AFEW / EmotiW film clips: Train and Val with one folder per class, Test without labels.",
    read=read,
    root="the folder with Train and Val (or Train_AFEW, Val_AFEW), and Test if there is one",
    example="afew AFEW -o clips.parquet",
    options={
        "store": Option("", "The feature store to bring the organisers' aligned faces into, if there are any."),
        "faces_size": Option(48, "Pixels of such a face's side in the store."),
        "faces_colour": Option(False, "Bring the faces in as RGB instead of grey."),
    },
)
