"""What FFmpeg or Pillow opens is taken, whatever its suffix; the rest is counted and named."""

import av
import numpy as np
import pytest
from av import AudioFrame
from heif_files import PICTURES, SIDE, write_heic
from media_files import grey_steps, tone, write_video
from PIL import Image

from features.datasets import read_dataset
from features.decode.audio import read_audio
from features.decode.video import video_frames
from features.errors import ClipFailure, EmofuseError
from features.media_files import AUDIO, IMAGES, VIDEO, is_media, media_below
from features.sets import Media

SOUNDS = {
    "aiff": ("aiff", "pcm_s16be"),
    "aif": ("aiff", "pcm_s16be"),
    "opus": ("opus", "libopus"),
    "aac": ("adts", "aac"),
    "wma": ("asf", "wmav2"),
    "ac3": ("ac3", "ac3"),
    "au": ("au", "pcm_s16be"),
    "caf": ("caf", "pcm_s16le"),
    "mka": ("matroska", "pcm_s16le"),
    "mp2": ("mp2", "mp2"),
    "m4b": ("ipod", "aac"),
}
FILMS = {"3gp": "mpeg4", "mts": "libx264", "m2ts": "libx264", "ts": "libx264", "vob": "mpeg1video", "asf": "mpeg4"}
STILLS = {"jfif": "JPEG", "jpe": "JPEG", "gif": "GIF", "avif": "AVIF", "jp2": "JPEG2000", "dib": "BMP", "pnm": "PPM"}


def write_sound(path, kind, codec):
    rate = 48000
    with av.open(str(path), "w", format=kind) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        stream.bit_rate = 96000
        samples = (tone(1.0, rate) * 32767).astype(np.int16)
        frame = AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = rate
        for one in av.AudioResampler(stream.format, stream.layout, rate, stream.frame_size or None).resample(frame):
            container.mux(stream.encode(one))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("suffix", SOUNDS)
def test_sounds(tmp_path, suffix):
    path = write_sound(tmp_path / f"a.{suffix}", *SOUNDS[suffix])
    assert media_below(tmp_path, AUDIO, "sound") == [path] and not is_media(path, VIDEO | IMAGES)
    assert np.abs(read_audio(Media(path), 16000)).max() > 0.3


@pytest.mark.parametrize("suffix", FILMS)
def test_films(tmp_path, suffix):
    path = write_video(tmp_path / f"a.{suffix}", grey_steps(5, 96, 128), codec=FILMS[suffix])
    assert media_below(tmp_path, VIDEO, "films") == [path] and not is_media(path, AUDIO | IMAGES)
    assert len(list(video_frames(Media(path)))) > 2


@pytest.mark.parametrize("suffix", STILLS)
def test_pictures(tmp_path, suffix):
    (tmp_path / "happy").mkdir()
    path = tmp_path / "happy" / f"1.{suffix.upper()}"
    Image.new("RGB", (32, 32), (10, 200, 30)).save(path, STILLS[suffix])
    assert [clip.path for clip in read_dataset("images", tmp_path, val_share=0.0).clips] == [f"happy/{path.name}"]
    ((_, picture),) = video_frames(Media(path))
    np.testing.assert_allclose(picture[16, 16], (10, 200, 30), atol=12)


def test_pictures_of_phones(tmp_path):
    red, green = PICTURES
    path = write_heic(tmp_path / "1.heic", [red])
    assert media_below(tmp_path, IMAGES, "pictures") == [path]
    ((_, picture),) = video_frames(Media(path))
    np.testing.assert_allclose(picture, np.full((SIDE, SIDE, 3), red), atol=4)
    tiles = write_heic(tmp_path / "2.HEIC", [red, green], (1, 2))
    with pytest.raises(ClipFailure, match="a HEIC picture of 2 tiles, which nothing here puts together; convert it to"):
        next(video_frames(Media(tiles)))


def test_names_that_do_not_tell(tmp_path, capsys):
    sound = write_sound(tmp_path / "take1", "wav", "pcm_s16le")
    film = write_video(tmp_path / "a.mp4", grey_steps(3)).rename(tmp_path / "a.movie")
    picture = tmp_path / "b.picture"
    Image.new("L", (8, 8)).save(picture, "PNG")
    (tmp_path / "README").write_text("read me")
    (tmp_path / "a.xyz").write_bytes(bytes(range(200)))
    for kinds, path in ((AUDIO, sound), (VIDEO, film), (IMAGES, picture)):
        assert media_below(tmp_path, kinds, "files") == [path]
    told = capsys.readouterr().err
    assert "passed over: no audio by name or content: 1 .movie, 1 .picture, 1 .xyz, 1 without a suffix" in told


def test_what_is_passed_over_is_counted_and_named(tmp_path, capsys):
    (tmp_path / "happy").mkdir()
    for name in ("1.png", "1.txt", "2.txt", "a.mp4", "x.npy"):
        (tmp_path / "happy" / name).write_bytes(name.encode())
    read_dataset("images", tmp_path)
    assert f"{tmp_path}: passed over: no image by name or content: 2 .txt, 1 .mp4, 1 .npy\n" in capsys.readouterr().err


def test_images_that_share_a_name_keep_their_suffix(tmp_path, capsys):
    (tmp_path / "happy").mkdir()
    for name in ("1.png", "1.jpg", "2.png"):
        (tmp_path / "happy" / name).write_bytes(name.encode())
    table = read_dataset("images", tmp_path)
    assert [clip.clip_id for clip in table.clips] == ["happy/1.jpg", "happy/1.png", "happy/2"]
    assert table.clips[0].group_id == table.clips[1].group_id != table.clips[2].group_id
    told = "2 images share a name but for the suffix, happy/1.jpg and happy/1.png: their ids keep it"
    assert told in capsys.readouterr().err


def test_clips_that_share_an_id_are_named(tmp_path):
    for name in ("Train/Sad/000000001.avi", "Train/Sad/000000001.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(EmofuseError, match=r"000000001 is there twice: .*000000001\.avi and .*000000001\.mp4; remove"):
        read_dataset("afew", tmp_path)


EQUAL = {"train/happy/1.png": b"a", "train/happy/2.png": b"b", "train/happy/3.png": b"c", "val/happy/4.png": b"b"}


@pytest.mark.parametrize("adapter", ["images", "table"])
def test_equal_pictures_are_dropped_from_train_first(tmp_path, capsys, adapter):
    for name, content in {**EQUAL, "val/happy/5.png": b"d", "test/happy/6.png": b"a"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    root = tmp_path
    if adapter == "table":
        root = tmp_path / "t.csv"
        files = sorted(tmp_path.glob("*/*/*.png"))
        rows = [f"{path.stem},{path.parts[-3]},happy,{path.relative_to(tmp_path)}" for path in files]
        root.write_text("\n".join(["clip_id,split,label,path", *rows]) + "\n")
    kept = read_dataset(adapter, root, duplicates="drop")
    assert sorted(str(clip.path)[-5:] for clip in kept.clips) == ["3.png", "4.png", "5.png", "6.png"]
    told = "dropped 2 of 3 train pictures: the same picture is in val or test (train/happy/1.png is test/happy/6.png)"
    assert told in capsys.readouterr().err
    assert len(read_dataset(adapter, root, duplicates="keep")) == 6


def test_what_shares_its_name_with_a_dropped_picture_goes_too(tmp_path, capsys):
    for name, content in {
        "train/a/1.jpg": "x",
        "train/a/1.png": "y",
        "train/a/2.png": "z",
        "test/a/9.jpg": "x",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    table = read_dataset("images", tmp_path, val_share=0.0)
    assert [clip.path for clip in table.clips] == ["test/a/9.jpg", "train/a/2.png"]
    assert "more than one split" not in capsys.readouterr().err
    kept = read_dataset("images", tmp_path, val_share=0.0, duplicates="keep")
    told = "1 group lies in more than one split, clip 'test/a/9' in test and clip 'train/a/1.jpg' in train; a search"
    assert len(kept) == 4 and told in capsys.readouterr().err
