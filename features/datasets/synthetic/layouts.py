"""Made-up corpora in the official layouts of those that the papers used: what is drawn elsewhere, under their names.

Test clips have no labels, as the organisers give them; where there are such, `labels.csv` beside the corpus tells them,
as labels that come later.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from features.clips import Clip
from features.datasets.synthetic.corpus import make_corpus, make_stills
from features.datasets.synthetic.recordings import make_recordings
from features.files import replacing, write_bytes
from features.names import unknown_name

_FER = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
_FER_USAGE = {"train": "Training", "val": "PublicTest"}
_SFEW = {"train": "Train", "val": "Val"}
# The fewest with which every class has two clips in train and one in val.
_ACTORS = {"train_actors": 2, "val_actors": 1, "test_actors": 1, "clips_per_actor": 7, "flaws": 0.0}
_STILLS = {"train_actors": 2, "val_actors": 1, "stills_per_actor": 14}
_CLIP_S, _RECORDING_S = (0.5, 0.7), (1.5, 2.0)
_FACE_PX = 128


def make_layout(name: str, root: Path, *, seed: int = 0, workers: int | None = None) -> Path:
    """Make a small corpus of the layout `name` below `root`; returns the folder or file that its adapter reads.

    Layouts: afew, cheavd, fer2013, people, sewa, sfew. The same seed gives the same pictures and sounds.
    """
    if name not in LAYOUTS:
        raise unknown_name("layout", name, LAYOUTS)
    done = root / f"{name}.made"
    if not done.exists():
        LAYOUTS[name](root, seed, workers)
        write_bytes(done, b"")
    return root / ("fer2013.csv" if name == "fer2013" else name)


def _afew(root: Path, seed: int, workers: int | None) -> None:
    """Train and Val with a folder per class, a flat Test, films as XML, aligned faces: AFEW of EmotiW 2016 to 2019."""
    films: dict[str, list[tuple[str, str]]] = defaultdict(list)
    later = []
    folders = {"train": "Train_AFEW", "val": "Val_AFEW", "test": "Test/Test_vid_Distribute"}
    faces = {
        "train": "AlignedFaces_LBPTOP_Points/Faces",
        "val": "AlignedFaces_LBPTOP_Points_Val/Faces",
        "test": "Test_2017_Faces_Distribute",
    }
    for number, (clip, source) in enumerate(_clips(root / "afew.drawn", seed, workers)):
        name, label = f"{46280 + 1000 * number:09d}", str(clip.label).title()
        below = folders[clip.split] if clip.split == "test" else f"{folders[clip.split]}/{label}"
        path = root / "afew" / below / f"{name}.avi"
        _as_avi(source, path)
        _aligned_faces(path, root / "afew" / faces[clip.split] / name)
        if clip.split == "test":
            later.append((name, label))
        else:
            films[clip.split].append((name, f"{clip.split.title()} {number % 3}"))
    for split, rows in films.items():
        lines = (f'<Clip MovieTitle="{film}"><Id>{name}</Id></Clip>' for name, film in rows)
        text = "<Clips>\n" + "\n".join(lines) + "\n</Clips>\n"
        write_bytes(root / "afew" / folders[split] / f"{split.title()}_6.xml", text.encode(), sync=False)
    _write_rows(root / "labels.csv", ("clip_id", "label"), later, ",")


def _cheavd(root: Path, seed: int, workers: int | None) -> None:
    """train, val and test with a file of labels each, as CHEAVD 2016; the names hold the speaker."""
    listed: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for number, (clip, source) in enumerate(_clips(root / "cheavd.drawn", seed, workers)):
        speaker = 10 * ("train", "val", "test").index(clip.split) + number % 3
        stem = f"2_{number:03d}_04_022_F{speaker:03d}_e"
        _as_avi(source, root / "cheavd" / "data" / clip.split / f"{stem}.avi")
        if clip.split != "test":
            listed[clip.split].append((stem, str(clip.label)))
    for split, rows in listed.items():
        _write_rows(root / "cheavd" / "data" / split / f"{split}_label.txt", (), rows, " ")


def _fer2013(root: Path, seed: int, workers: int | None) -> None:
    """fer2013.csv: a code, 2,304 grey values and the usage in each row."""
    rows = []
    for clip, picture in _stills(root / "fer2013.drawn", seed, workers):
        small = cv2.resize(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), (48, 48), interpolation=cv2.INTER_AREA)
        rows.append((_FER.index(str(clip.label)), " ".join(map(str, small.ravel())), _FER_USAGE[clip.split]))
    _write_rows(root / "fer2013.csv", ("emotion", "pixels", "Usage"), rows, ",")


def _sfew(root: Path, seed: int, workers: int | None) -> None:
    """Aligned faces of SFEW 2.0, named by film, time and frame."""
    for number, (clip, picture) in enumerate(_stills(root / "sfew.drawn", seed + 1, workers)):
        split = _SFEW[clip.split]
        folder = root / "sfew" / split / f"{split}_Aligned_Faces" / str(clip.label).title()
        _write_png(folder / f"Film_{clip.group_id}_{519240 + number:09d}_{number:08d}.png", picture)


def _people(root: Path, seed: int, workers: int | None) -> None:
    """A folder for each person, of pictures that tell people apart; the last two of each are held out."""
    counts: dict[str, int] = defaultdict(int)
    for clip, picture in _stills(root / "people.drawn", seed + 2, workers):
        counts[clip.group_id] += 1
        split = "val" if counts[clip.group_id] > _STILLS["stills_per_actor"] - 2 else "train"
        _write_png(root / "people" / split / clip.group_id / f"{counts[clip.group_id]:04d}.png", picture)


def _sewa(root: Path, seed: int, workers: int | None) -> None:
    """Ten recordings of Train and three of Devel with labels every 100 ms, as AVEC 2017: no header, quoted names."""
    table = make_recordings(
        root / "sewa.drawn",
        seed=seed,
        train_actors=10,
        val_actors=3,
        test_actors=0,
        duration_s=_RECORDING_S,
        workers=workers,
    )
    assert table.annotations is not None  # recordings always have them
    counts: dict[str, int] = defaultdict(int)
    for clip in table.clips:
        part = {"train": "Train", "val": "Devel"}[clip.split]
        counts[part] += 1
        name = f"{part}_{counts[part]:02d}"
        _as_avi(table.root / str(clip.path), root / "sewa" / "video" / f"{name}.avi")
        time_s, values = table.annotations.series[clip.clip_id]
        lines = zip(time_s, values, strict=True)
        rows = [(f"'{name}'", f"{t:.6f}", *(f"{v:.6f}" for v in line), "0.000000") for t, line in lines]
        _write_rows(root / "sewa" / "labels" / f"{name}.csv", (), rows, ";")


LAYOUTS: dict[str, Callable[[Path, int, int | None], None]] = {
    "afew": _afew,
    "cheavd": _cheavd,
    "fer2013": _fer2013,
    "people": _people,
    "sewa": _sewa,
    "sfew": _sfew,
}


def _clips(folder: Path, seed: int, workers: int | None) -> Iterator[tuple[Clip, Path]]:
    table = make_corpus(folder, seed=seed, **_ACTORS, duration_s=_CLIP_S, workers=workers)  # type: ignore[arg-type]
    for clip in table.clips:
        yield clip, table.root / str(clip.path)


def _stills(folder: Path, seed: int, workers: int | None) -> Iterator[tuple[Clip, np.ndarray]]:
    table = make_stills(folder, seed=seed, **_STILLS, workers=workers)
    for clip in table.clips:
        picture = cv2.imread(str(table.root / str(clip.path)))
        assert picture is not None  # it was written a moment ago
        yield clip, picture


def _as_avi(source: Path, path: Path) -> None:
    """The same pictures and samples in the container that the organisers use: MPEG-4 and plain samples."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        av.open(source) as read,
        replacing(path, sync=False) as temporary,
        av.open(temporary, "w", format="avi") as out,
    ):
        seen, heard = read.streams.video[0], (*read.streams.audio, None)[0]
        video = out.add_stream("mpeg4", rate=seen.average_rate)
        video.width, video.height, video.pix_fmt, video.bit_rate = seen.width, seen.height, "yuv420p", 2_000_000
        sound = heard and out.add_stream("pcm_s16le", rate=heard.rate, layout="mono")
        for frame in read.decode():
            if isinstance(frame, av.VideoFrame):
                out.mux(video.encode(av.VideoFrame.from_ndarray(frame.to_ndarray(format="rgb24"), "rgb24")))
            elif sound:
                frame.pts = None
                out.mux(sound.encode(frame))
        out.mux(video.encode(None))
        if sound:
            out.mux(sound.encode(None))


def _aligned_faces(clip: Path, folder: Path) -> None:
    """The middle square of every frame as a numbered JPEG."""
    with av.open(clip) as file:
        for number, frame in enumerate(file.decode(video=0), 1):
            picture = frame.to_ndarray(format="bgr24")
            side = min(picture.shape[:2])
            top, left = ((length - side) // 2 for length in picture.shape[:2])
            face = cv2.resize(picture[top : top + side, left : left + side], (_FACE_PX, _FACE_PX))
            _, data = cv2.imencode(".jpg", face)
            write_bytes(folder / f"{number}.jpg", data.tobytes(), sync=False)


def _write_png(path: Path, picture: np.ndarray) -> None:
    _, data = cv2.imencode(".png", picture)
    write_bytes(path, data.tobytes(), sync=False)


def _write_rows(path: Path, head: Sequence[str], rows: Sequence[Sequence[Any]], between: str) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=between, lineterminator="\n", quoting=csv.QUOTE_MINIMAL)
    writer.writerows([head, *rows] if head else rows)
    write_bytes(path, text.getvalue().encode(), sync=False)
