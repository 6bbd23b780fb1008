from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.clips import ClipTable, check_clips, hash_media
from features.datasets import dataset_names, get_adapter, read_dataset
from features.errors import EmofuseError, WrongUse
from features.extract import extract
from features.store.store import open_set


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def ravdess(root: Path, actors, modality: str = "03", suffix: str = "wav", channel: str = "01") -> Path:
    names = [
        f"Actor_{a:02d}/{modality}-{channel}-{e:02d}-01-01-{r:02d}-{a:02d}.{suffix}"
        for a in actors
        for e in range(1, 9)
        for r in (1, 2)
    ]
    return touch(root, *names)


def splits(table) -> dict[str, set[str]]:
    return {split: {clip.group_id for clip in table.split(split)} for split in ("train", "val", "test")}


def test_every_adapter_describes_itself():
    for name in dataset_names():
        adapter = get_adapter(name)
        assert adapter.name == name and adapter.example.startswith(name)
        assert all(option.default in option.choices for option in adapter.options.values() if option.choices)


def test_unknown_data_sets_and_options(tmp_path):
    with pytest.raises(WrongUse, match=r"Unknown data set 'ravdes': .* Did you mean 'ravdess'"):
        read_dataset("ravdes", tmp_path)
    with pytest.raises(WrongUse, match=r"Did you mean 'modality'"):
        read_dataset("ravdess", tmp_path, modalty="audio")
    with pytest.raises(WrongUse, match="modality is one of auto, full, video, audio, but got 'sound'"):
        read_dataset("ravdess", tmp_path, modality="sound")


def test_ravdess_reads_the_fields_of_the_name(tmp_path):
    table = read_dataset("ravdess", ravdess(tmp_path, range(1, 25)))
    clip = table.by_id("03-01-06-01-01-02-12")
    assert (clip.label, clip.group_id, clip.dataset) == ("fearful", "actor_12", "ravdess")
    assert clip.path == "Actor_12/03-01-06-01-01-02-12.wav"
    assert table.classes == ("angry", "calm", "disgust", "fearful", "happy", "neutral", "sad", "surprised")
    assert {split: len(groups) for split, groups in splits(table).items()} == {"train": 16, "val": 4, "test": 4}
    check_clips(table)


def test_ravdess_ranges_of_actors(tmp_path, capsys):
    ravdess(tmp_path, range(1, 7))
    table = read_dataset("ravdess", tmp_path, train="1-2,4", test="5-7")
    actors = {split: sorted(group[-1] for group in groups) for split, groups in splits(table).items()}
    assert actors == {"train": ["1", "2", "4"], "val": [], "test": ["5", "6"]}
    assert "warning: no clips of actors 7" in capsys.readouterr().err
    with pytest.raises(WrongUse, match="Actor 2 is in both train and val"):
        read_dataset("ravdess", tmp_path, train="1-3", val="2")
    with pytest.raises(WrongUse, match=r"a range of actors such as 1-12 or 1-8,10, but got 'a-b'"):
        read_dataset("ravdess", tmp_path, train="a-b")


def test_ravdess_picks_one_modality(tmp_path, capsys):
    ravdess(tmp_path, [1, 2], "03")
    ravdess(tmp_path / "Video", [1, 2], "01", "mp4")
    ravdess(tmp_path / "Video", [1, 2], "02", "mp4")
    ravdess(tmp_path / "Song", [1], "03", "wav", "02")
    touch(tmp_path, "Actor_01/notes.wav", "Actor_01/._03-01-01-01-01-01-01.wav")
    kinds = {m: read_dataset("ravdess", tmp_path, modality=m).clips[0].clip_id[:5] for m in ("auto", "video", "audio")}
    assert kinds == {"auto": "01-01", "video": "02-01", "audio": "03-01"}
    said = capsys.readouterr().err
    assert "1 files are left out, their names are not RAVDESS's: notes.wav" in said
    assert "60 spoken and 44 sung clips of each actor; other numbers here: actor 01: 16, actor 02: 16" in said
    assert len(read_dataset("ravdess", tmp_path, modality="audio", channel="all")) == 48
    with pytest.raises(EmofuseError, match="no song clips of modality 'full'; those that are there: audio"):
        read_dataset("ravdess", tmp_path, modality="full", channel="song")


def test_ravdess_of_wrong_folders(tmp_path):
    with pytest.raises(EmofuseError, match="no such folder; expected RAVDESS files such as Actor_01/03-"):
        read_dataset("ravdess", tmp_path / "none")
    with pytest.raises(EmofuseError, match="archives must be unpacked first"):
        read_dataset("ravdess", tmp_path)
    with pytest.raises(EmofuseError, match=r"Expected RAVDESS files .*, but .*x\.wav and all other media files"):
        read_dataset("ravdess", touch(tmp_path, "x.wav"))
    name = "03-01-01-01-01-01-01"
    with pytest.raises(EmofuseError, match=rf"RAVDESS clip {name} is there twice: .*{name}\.flac and .*{name}\.wav"):
        read_dataset("ravdess", touch(tmp_path, f"a/{name}.flac", f"b/{name}.wav"))


AFEW = ["Angry", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise"]


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("Train", "Val", "Test/Test_vid_Distribute"),
        ("Train_AFEW/Train_AFEW", "Val_AFEW", "Test_vid_Distribute"),
        ("AFEW_4_0/Train", "AFEW_4_0/Val/Val", "Test_Vid_Distr/Data"),
    ],
)
def test_afew_layouts(tmp_path, capsys, train, val, test):
    touch(tmp_path, *(f"{train}/{c}/00000000{i}.avi" for i, c in enumerate(AFEW)))
    touch(tmp_path, *(f"{val}/{c.lower()}/00000000{i}.avi" for i, c in enumerate(AFEW)))
    touch(tmp_path, f"{test}/000000001.avi", f"{test}/._000000001.avi", f"{train}/Faces/000000001/1.jpg")
    table = read_dataset("afew", tmp_path)
    check_clips(table)
    assert Counter(clip.split for clip in table.clips) == {"train": 7, "val": 7, "test": 1}
    assert table.classes == tuple(AFEW)
    assert table.by_id("val/000000002").label == "Fear"
    assert table.by_id("test/000000001").label is None
    assert table.by_id("test/000000001").group_id == "test/000000001"
    said = capsys.readouterr().err
    assert "warning: 7 train, 7 val and 1 test clips are not the numbers of any year" in said
    assert "the film of 15 of 15 clips is unknown" in said


def test_afew_films_from_xml(tmp_path, capsys):
    touch(tmp_path, "Train/Angry/000046280.avi", "Train/Sad/000046281.avi", "Train/Sad/000046282.avi")
    (tmp_path / "Train/Train_6.xml").write_text(
        "<r><c Location='000046280.avi'><p MovieTitle='Alpha' NameOfActor='x'/><p MovieTitle='Alpha'/></c>"
        "<c MovieTitle='Beta'><Name>000046281</Name><Length>1</Length></c></r>"
    )
    (tmp_path / "Val_6.xml").write_text("<broken")
    table = read_dataset("afew", tmp_path)
    assert [clip.group_id for clip in table.clips] == ["Alpha", "Beta", "train/000046282"]
    said = capsys.readouterr().err
    assert "the film of 1 of 3 clips is unknown" in said
    assert "Val_6.xml can't be read as XML" in said


def test_afew_of_wrong_folders(tmp_path, capsys):
    with pytest.raises(EmofuseError, match=r"expected AFEW's folders Train/Angry, .* but found 'Angry/1.avi'"):
        read_dataset("afew", touch(tmp_path, "Angry/1.avi"))
    read_dataset("afew", touch(tmp_path, "Train/Contempt/2.avi", "Train/3.avi"))
    said = capsys.readouterr().err
    assert "class folders that AFEW does not have: Contempt" in said
    assert "2 videos are left out, they are in no class folder of a split: Angry/1.avi" in said


def test_table_from_csv(tmp_path, capsys):
    touch(tmp_path, "media/1.mp4")
    (tmp_path / "my.csv").write_text(
        "clip_id,split,path,label,end_s\n007,train,media/1.mp4,NA,2.5\n008,test,media/1.mp4,,\n"
    )
    table = read_dataset("table", tmp_path / "my.csv")
    first, second = table.clips
    assert (first.clip_id, first.label, first.start_s, first.end_s) == ("007", "NA", 0.0, 2.5)
    assert (first.group_id, first.dataset, second.label, second.end_s) == ("007", "my", None, None)
    check_clips(table)
    assert "no column group_id (speaker, subject or film): each clip is its own group" in capsys.readouterr().err


def test_table_from_parquet_and_another_media_folder(tmp_path):
    touch(tmp_path, "media/1.mp4")
    columns = {
        "clip_id": [1],
        "split": ["train"],
        "path": ["1.mp4"],
        "label": ["x"],
        "group_id": ["g"],
        "__index_level_0__": [0],
    }
    pq.write_table(pa.table(columns), tmp_path / "my.parquet")
    table = read_dataset("table", tmp_path / "my.parquet", media_root=str(tmp_path / "media"))
    assert table.clips[0].clip_id == "1"
    check_clips(table)


def test_table_without_media(tmp_path):
    (tmp_path / "my.csv").write_text("clip_id,split,label,group_id\na,train,x,g\n")
    with pytest.raises(EmofuseError, match=r"there is no path .or give --no-media"):
        read_dataset("table", tmp_path / "my.csv")
    table = read_dataset("table", tmp_path / "my.csv", no_media=True)
    check_clips(table)
    assert table.clips[0].path is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clip_id,split,pth\n", "Unknown column in .*my.csv 'pth': .* Did you mean 'path'"),
        ("clip_id,path\n", "expected the columns clip_id, split, path, but there is no split"),
        ("clip_id,split,path,start_s\na,train,x,soon\n", "can't be read as CSV .*soon"),
        ("clip_id,split,path\na,train,\n", "1 clips have no path, the first is 'a'; give --no-media"),
    ],
)
def test_bad_tables(tmp_path, text, message):
    (tmp_path / "my.csv").write_text(text)
    with pytest.raises(EmofuseError, match=message):
        read_dataset("table", tmp_path / "my.csv")


def test_tables_of_another_kind(tmp_path):
    with pytest.raises(EmofuseError, match="no such file, expected a CSV or Parquet file with one row per clip"):
        read_dataset("table", tmp_path / "none.csv")
    with pytest.raises(WrongUse, match=r"ends in \.csv, \.tsv or \.parquet"):
        read_dataset("table", touch(tmp_path, "my.xlsx") / "my.xlsx")
    columns = {"clip_id": ["a"], "split": ["train"], "path": ["x"], "start_s": ["soon"]}
    pq.write_table(pa.table(columns), tmp_path / "my.parquet")
    with pytest.raises(EmofuseError, match="column 'start_s' should hold double values"):
        read_dataset("table", tmp_path / "my.parquet")


def test_images_in_split_folders(tmp_path, capsys):
    touch(tmp_path, "train/happy/1.jpg", "train/Sad/2.PNG", "Validation/happy/3.jpg", "test/Test_Aligned/4.jpg")
    table = read_dataset("images", tmp_path)
    check_clips(table)
    assert [(c.clip_id, c.split, c.label) for c in table.clips] == [
        ("Validation/happy/3", "val", "happy"),
        ("test/Test_Aligned/4", "test", None),
        ("train/Sad/2", "train", "sad"),
        ("train/happy/1", "train", "happy"),
    ]
    assert "test images in test_aligned are unlabelled: train has no such class" in capsys.readouterr().err


def test_images_of_sfew_and_folders_that_name_no_split(tmp_path, capsys):
    touch(tmp_path, "Train_Aligned_Faces/Happy/1.png", "Val_Aligned_Faces_new/Val_Aligned_Faces/Happy/2.png")
    table = read_dataset("images", touch(tmp_path, "Test-Aligned-Faces/3.png"))
    assert [(c.split, c.label) for c in table.clips] == [("test", None), ("train", "happy"), ("val", "happy")]
    assert "no split is named" not in capsys.readouterr().err
    touch(tmp_path, "Valence/Happy/4.png", "Extra/Happy/5.png", "Sad/6.png")
    table = read_dataset("images", tmp_path)
    assert [c.split for c in table.clips if c.path[:2] in ("Va", "Ex", "Sa")] == ["train", "train", "val", "train"]
    told = "no split is named by the folders Extra (1), Sad (1), Valence (1): their images are taken for train"
    assert told in capsys.readouterr().err


def test_images_without_val_lend_some_of_train(tmp_path):
    touch(tmp_path, *(f"{c}/{i}.png" for c in ("happy", "sad") for i in range(200)))
    (tmp_path / "happy/0.png").write_bytes((tmp_path / "sad/1.png").read_bytes())
    table = read_dataset("images", tmp_path, val_share=0.25)
    assert 60 < len(table.split("val")) < 140
    assert table.by_id("happy/0").split == table.by_id("sad/1").split
    assert table.by_id("happy/0").group_id == table.by_id("sad/1").group_id
    assert hash_media(table) == table
    touch(tmp_path, "sad/new.png")
    again = read_dataset("images", tmp_path, val_share=0.25)
    assert all(again.by_id(clip.clip_id) == clip for clip in table.clips)


def test_images_grouped_by_name(tmp_path):
    touch(tmp_path, "sad/Harry_Potter_001_02.png", "sad/Airheads_003_04.png")
    table = read_dataset("images", tmp_path, group=r"(.+)_\d+_\d+$", val_share=0.0)
    assert [clip.group_id for clip in table.clips] == ["Airheads", "Harry_Potter"]
    with pytest.raises(WrongUse, match="is no regular expression"):
        read_dataset("images", tmp_path, group="(")
    with pytest.raises(WrongUse, match="needs a pair of parentheses"):
        read_dataset("images", tmp_path, group="x")
    with pytest.raises(EmofuseError, match=r"Airheads_003_04.png: its name does not match the group pattern"):
        read_dataset("images", tmp_path, group="(Harry)")


def test_images_of_wrong_folders(tmp_path):
    with pytest.raises(WrongUse, match="val_share is at least 0 and below 1"):
        read_dataset("images", tmp_path, val_share=1.5)
    with pytest.raises(EmofuseError, match="but this image is in no class folder"):
        read_dataset("images", touch(tmp_path, "1.png"))


@pytest.mark.real_data
def test_real_ravdess(real_data, tmp_path, capsys):
    table = read_dataset("ravdess", real_data / "ravdess_audio", train="1-12", test="13-16")
    assert Counter(clip.split for clip in table.clips) == {"train": 720, "test": 240}
    assert "warning" not in capsys.readouterr().err
    check_clips(table)
    few = hash_media(ClipTable(table.clips[::240], table.root))
    (summary,) = extract(few, ["short_term"], tmp_path, workers=2)
    assert summary.ok == len(few) == 4
    stored = open_set(tmp_path, "short_term", few)
    assert all(stored[i].shape == (stored.length(i), 34) for i in stored.ids)


def afew_with_faces(root):
    touch(root, "Train/Sad/000046280.avi", "Train/Sad/000046290.avi", "Val/Sad/000046280.avi", "Test/000000001.avi")
    picture = np.zeros((40, 30, 3), np.uint8)
    places = {
        "Train/AlignedFaces_LBPTOP_Points": "000046280",
        "AlignedFaces_LBPTOP_Points_Val": "000046280",
        "Test_2017_Faces_Distribute": "000000001",
    }
    for n, (folder, clip) in enumerate(places.items()):
        for frame in (9, 10, 1):
            path = root / folder / "Faces" / clip / f"{clip}-{frame}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture[:] = (0, 0, 80 * n + frame)  # blue, green, red
            cv2.imwrite(str(path), picture)
    return root


@pytest.mark.parametrize(
    ("options", "name", "shape"),
    [
        ({}, "afew_faces", (48, 48)),
        ({"faces_size": 24, "faces_colour": True}, "afew_faces_24_colour", (24, 24, 3)),
    ],
)
def test_afews_own_faces(tmp_path, capsys, options, name, shape):
    root, store = afew_with_faces(tmp_path / "afew"), tmp_path / "store"
    table = read_dataset("afew", root, store=str(store), **options)
    faces = open_set(store, name, table)
    values, times = faces.steps("val/000046280")
    assert values.shape == (3, *shape) and values.dtype == np.uint8
    np.testing.assert_allclose(times, [0, 8 / 25, 9 / 25], atol=1e-6)
    if len(shape) == 3:
        red = [int(faces[clip][t, 12, 12, 0]) for clip in ("train/000046280", "test/000000001") for t in range(3)]
        np.testing.assert_allclose(red, [1, 9, 10, 161, 169, 170], atol=3)
    assert faces.status("train/000046290") == "no_face"
    said = capsys.readouterr().err
    assert "1 of 4 clips have no aligned faces: train/000046290, ..." in said
    assert f"{name}: the organisers' faces of 3 clips in {store}" in said


def test_afew_without_faces_to_bring_in(tmp_path):
    touch(tmp_path, "Train/Sad/000046280.avi", "Train/other/1.jpg")
    with pytest.raises(EmofuseError, match=r"expected aligned faces such as .* but found no folder of pictures named"):
        read_dataset("afew", tmp_path, store=str(tmp_path / "store"))
    with pytest.raises(EmofuseError, match="The faces' size is at least 16 pixels, but got 3"):
        read_dataset("afew", tmp_path, store=str(tmp_path / "store"), faces_size=3)
