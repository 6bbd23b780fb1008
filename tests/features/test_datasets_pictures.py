import gzip

import cv2
import numpy as np
import pytest
from scipy.io import savemat
from typer.testing import CliRunner

from features.app import clips_app
from features.clips import check_clips, read_clips
from features.datasets import read_dataset
from features.errors import EmofuseError, WrongUse
from features.store.store import open_set
from search.run.partitions import make_partition

RNG = np.random.default_rng(0)
FACES = RNG.integers(0, 256, (12, 48, 48), np.uint8)
# Of the seven classes two faces each in train; row 8 of val is row 0 of train, row 10 of test row 9 of val.
FACES[8], FACES[10] = FACES[0], FACES[9]
EMOTIONS = [0, 0, 3, 3, 6, 6, 1, 1, 0, 3, 3, 6]
USAGE = ["Training"] * 8 + ["PublicTest"] * 2 + ["PrivateTest"] * 2


def csv(path, *, header="emotion,pixels,Usage", order=(0, 1, 2), emotions=EMOTIONS, usage=USAGE, faces=FACES):
    rows = [header]
    for emotion, face, part in zip(emotions, faces, usage, strict=True):
        cells = [str(emotion), " ".join(map(str, face.ravel())), part]
        rows.append(",".join(cells[i] for i in order))
    text = ("\n".join(rows) + "\n").encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def test_fer2013_by_the_command(tmp_path):
    source, out, store = csv(tmp_path / "fer2013.csv.gz"), tmp_path / "fer.parquet", tmp_path / "store"
    result = CliRunner().invoke(clips_app, ["fer2013", str(source), "-o", str(out), "--store", str(store)])
    assert result.exit_code == 0, result.output
    assert "dropped 1 of 8 train pictures: the same picture is in val or test" in result.output
    assert "dropped 1 of 2 val pictures: the same picture is in test" in result.output
    assert "published were 28709, 3589 and 3589" in result.output
    table = read_clips(out)
    check_clips(table)
    assert [len(table.split(split)) for split in ("train", "val", "test")] == [7, 1, 2]
    assert table.classes == ("Angry", "Disgust", "Happy", "Neutral")
    assert table.by_id("Training_00002").label == "Happy"
    stored = open_set(store, "fer2013", table)
    assert (stored.level, stored.shape, stored.dtype) == ("frame", (48, 48), np.uint8)
    for row in (1, 7):
        np.testing.assert_array_equal(stored[f"Training_0000{row}"], FACES[row : row + 1])
    make_partition(table, "stills", seed=0)


def test_fer2013_in_the_other_spelling(tmp_path):
    source = csv(tmp_path / "icml_face_data.csv", header="emotion, Usage, pixels", order=(0, 2, 1))
    table = read_dataset("fer2013", source)
    assert len(table) == 10 and {clip.dataset for clip in table.clips} == {"fer2013"}


def test_kept_duplicates_are_found_by_the_partition_check(tmp_path):
    table = read_dataset("fer2013", csv(tmp_path / "f.csv"), duplicates="keep")
    assert len(table) == 12
    assert table.by_id("Training_00000").media_sha256 == table.by_id("PublicTest_00008").media_sha256
    with pytest.raises(EmofuseError, match="'Training_00000' and held-out clip 'PublicTest_00008' have the same"):
        make_partition(table, "stills", seed=0)


def test_faces_in_another_size_and_colour(tmp_path):
    store = tmp_path / "store"
    table = read_dataset("fer2013", csv(tmp_path / "f.csv"), store=str(store), size=100, colour=True)
    stored = open_set(store, "fer2013_100_colour", table)
    assert stored.shape == (100, 100, 3)
    face = stored["Training_00001"][0]
    assert (face == face[..., :1]).all()
    assert abs(face.mean() - FACES[1].mean()) < 3


def test_equalised_faces_are_a_set_of_their_own(tmp_path):
    store = tmp_path / "store"
    table = read_dataset("fer2013", csv(tmp_path / "f.csv"), store=str(store), equalise=True)
    face = open_set(store, "fer2013_equalised", table)["Training_00001"][0]
    np.testing.assert_array_equal(face, cv2.equalizeHist(FACES[1]))


def test_another_set_of_the_same_name_is_not_overwritten(tmp_path):
    store = str(tmp_path / "store")
    source = csv(tmp_path / "f.csv")
    for _ in range(2):
        read_dataset("fer2013", source, store=store)
    with pytest.raises(EmofuseError, match="already has another set 'fer2013'; give the new one another --set-name"):
        read_dataset("fer2013", source, store=store, duplicates="keep")
    with pytest.raises(WrongUse, match="need a name of letters, digits and _ that no feature set has, but got 'faces'"):
        read_dataset("fer2013", source, store=store, set_name="faces")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"header": "emotion,pixels,split"}, "with the columns emotion, pixels, Usage, but there is no Usage"),
        ({"emotions": [7, *EMOTIONS[1:]]}, "row 0: expected an emotion from 0 to 6 and a Usage of .*, but got 7"),
        ({"usage": ["Test", *USAGE[1:]]}, "row 0: .* but got 0 and 'Test'"),
        ({"faces": FACES[:, 1:]}, "row 0: expected 2304 pixels from 0 to 255, .* but got 2256 values"),
        ({"faces": FACES.astype(int) + 1}, "row 0: expected 2304 pixels from 0 to 255"),
    ],
)
def test_other_files_are_refused(tmp_path, change, message):
    with pytest.raises(EmofuseError, match=message):
        read_dataset("fer2013", csv(tmp_path / "f.csv", **change))
    with pytest.raises(EmofuseError, match="no such file; expected FER2013's CSV"):
        read_dataset("fer2013", tmp_path / "none.csv")


def mat(path, **changes):
    folds = np.tile([[1, 1, 2, 3]], 3).T[:, [0]].repeat(5, axis=1)
    folds[0, 1] = 2
    values = {
        "images": FACES,
        "labs_ex": np.array([[1, 2, 1, 1, 2, 3, 4, 5, 1, -1, 7, 2]]).T,
        "labs_id": np.array([[1, 1, 2, 3, -1, -1, 4, 4, 5, 6, 7, 7]]).T,
        "folds": folds,
    }
    savemat(path, {name: value for name, value in {**values, **changes}.items() if value is not None})
    return path


def test_tfd(tmp_path, capsys):
    table = read_dataset("tfd", mat(tmp_path / "TFD.mat"), store=str(tmp_path / "store"), duplicates="keep")
    assert "1 of 12 faces are left out: unlabelled, or in no part of fold 1" in capsys.readouterr().err
    assert table.by_id("tfd_000010").label == "Neutral" and table.by_id("tfd_000000").group_id == "person_1"
    assert table.by_id("tfd_000004").group_id.startswith("image-")
    assert table.by_id("tfd_000002").split == "val"
    np.testing.assert_array_equal(open_set(tmp_path / "store", "tfd", table)["tfd_000011"][0], FACES[11])
    assert read_dataset("tfd", tmp_path / "TFD.mat", fold=2, duplicates="keep").by_id("tfd_000000").split == "val"


def test_other_tfd_files_are_refused(tmp_path):
    with pytest.raises(WrongUse, match="folds 1 to 5, but got fold 6"):
        read_dataset("tfd", tmp_path, fold=6)
    with pytest.raises(EmofuseError, match=r"expected TFD's file .* but got labs_ex \(12, 1\), "):
        read_dataset("tfd", mat(tmp_path / "a.mat", images=None))
    with pytest.raises(EmofuseError, match="none of the 12 faces has a label"):
        read_dataset("tfd", mat(tmp_path / "b.mat", labs_ex=-np.ones((12, 1))))
    (tmp_path / "c.mat").write_text("no matlab")
    with pytest.raises(EmofuseError, match="but it can't be read"):
        read_dataset("tfd", tmp_path / "c.mat")


@pytest.mark.real_data
def test_real_fer2013(real_data, tmp_path):
    table = read_dataset("fer2013", real_data / "fer2013" / "fer2013.csv.gz")
    assert {split: len(table.split(split)) for split in ("train", "val", "test")} == {
        "train": 28709 - 351,
        "val": 3589,
        "test": 0,
    }
    make_partition(table, "stills", seed=0)
