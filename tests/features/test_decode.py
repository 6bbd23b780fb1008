import subprocess
import sys

import av
import cv2
import numpy as np
import pytest
import soundfile
from media_files import grey_steps, noise, tone, write_video

from features.decode import read_audio, video_frames
from features.errors import ClipFailure
from features.sets import Media


def indices(media, **options):
    return [round((float(image.mean()) - 20) / 10) for _, image in video_frames(media, **options)]


def stamps(media, **options):
    return [time_s for time_s, _ in video_frames(media, **options)]


@pytest.mark.parametrize(
    ("codec", "ending"),
    [
        ("libx264", "mp4"),
        ("mpeg1video", "mpg"),
        ("libx265", "mov"),
        ("libvpx", "webm"),
        ("mpeg4", "avi"),
        ("libx264", "mkv"),
    ],
)
def test_every_frame_of_every_codec_comes_with_its_time(tmp_path, codec, ending):
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    path = write_video(tmp_path / f"a.{ending}", grey_steps(12), codec=codec, options=options)
    assert indices(Media(path)) == list(range(12))
    assert stamps(Media(path)) == pytest.approx([i / 25 for i in range(12)], abs=1e-3)


def test_a_variable_frame_rate_keeps_its_stamps(tmp_path):
    times = [0.0, 0.03, 0.2, 0.21, 0.7, 0.9]
    path = write_video(tmp_path / "a.mp4", grey_steps(6), times)
    assert stamps(Media(path)) == pytest.approx(times, abs=1e-3)
    assert indices(Media(path), every_s=0.2) == [0, 2, 4, 5]


@pytest.mark.parametrize("codec, ending", [("libx264", "mp4"), ("mpeg1video", "mpg")])
@pytest.mark.parametrize("start_s, end_s, first, count", [(0.4, None, 10, 10), (0.2, 0.4, 5, 5), (0.0, 0.08, 0, 2)])
def test_start_and_end_cut_exactly(tmp_path, codec, ending, start_s, end_s, first, count):
    path = write_video(tmp_path / f"a.{ending}", grey_steps(20), codec=codec)
    media = Media(path, start_s, end_s)
    assert indices(media) == list(range(first, first + count))
    assert stamps(media) == pytest.approx([i / 25 for i in range(count)], abs=1e-3)


def test_a_late_start_in_a_stream_without_index(tmp_path):
    # Grainy pictures: a packet of a program stream holds one stamp, however many tiny frames it holds.
    grain = np.random.default_rng(0).integers(-20, 20, (100, 96, 128, 3))
    images = [np.clip(20 + 10 * (i // 5) + grain[i], 0, 255).astype(np.uint8) for i in range(100)]
    path = write_video(tmp_path / "a.mpg", images, codec="mpeg1video")
    assert indices(Media(path, 3.4, 3.6)) == [17] * 5


def test_the_step_is_kept_on_average(tmp_path):
    path = write_video(tmp_path / "a.mp4", grey_steps(20), [i / 30 for i in range(20)])
    assert indices(Media(path), every_s=1 / 15) == list(range(0, 20, 2))
    assert indices(Media(path), every_s=1 / 60) == list(range(20))


def test_grey_is_full_range_and_small_pictures_keep_their_shape(tmp_path):
    image = np.zeros((60, 80, 3), np.uint8)
    image[:, 40:] = 255
    path = write_video(tmp_path / "a.mp4", [image] * 2)
    _, grey = next(video_frames(Media(path), gray=True))
    _, rgb = next(video_frames(Media(path), max_side=40))
    assert grey.shape == (60, 80) and grey[:, :30].max() < 4 and grey[:, 50:].min() > 251
    assert rgb.shape == (30, 40, 3) and rgb[:, 25:].min() > 251
    assert next(video_frames(Media(path), gray=True, max_side=800))[1].shape == (60, 80)


def test_a_rotation_that_the_file_asks_for_is_applied(tmp_path):
    image = np.zeros((60, 80, 3), np.uint8)
    image[:20] = 255
    path = write_video(tmp_path / "a.mp4", [image] * 2)
    data = path.read_bytes()
    # The display matrix of the track header: a quarter turn clockwise, as phones write it.
    at = data.index(b"tkhd") + 44
    turn = np.array([0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30], ">i4").tobytes()
    path.write_bytes(data[:at] + turn + data[at + 36 :])
    for gray in (False, True):
        _, turned = next(video_frames(Media(path), gray=gray))
        assert turned.shape[:2] == (80, 60)
        assert turned[:, 45:].min() > 240 and turned[:, :35].max() < 15


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_a_still_is_one_frame(tmp_path, ending):
    path = tmp_path / f"still%03d.{ending}"
    cv2.imwrite(str(path), grey_steps(4)[3])
    assert indices(Media(path)) == [3] and stamps(Media(path)) == [0.0]


@pytest.mark.parametrize(
    ("ending", "said"),
    [
        ("mkv", "the file breaks off after 1.0 s, its header tells of 2.6 s"),
        ("avi", "the file breaks off after"),
    ],
)
def test_a_truncated_file_gives_the_frames_that_decode_and_says_so(tmp_path, capsys, ending, said):
    path = write_video(tmp_path / f"a.{ending}", noise(65), options={"g": "5", "bf": "0"})
    assert len(stamps(Media(path))) == 65 and capsys.readouterr().err == ""
    path.write_bytes(path.read_bytes()[: round(path.stat().st_size * 0.4)])
    assert 15 < len(stamps(Media(path))) < 40
    assert said in (err := capsys.readouterr().err) and "what there is is used" in err


def test_broken_bytes_in_the_middle_do_not_end_the_clip(tmp_path):
    path = write_video(tmp_path / "a.mkv", noise(50), options={"g": "5"})
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 3000] = bytes(3000)
    path.write_bytes(data)
    assert stamps(Media(path))[-1] > 1.7


def test_sound_is_resampled_and_in_step(tmp_path):
    signal = tone(1.0, 44100)
    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack([signal, signal], axis=1), 44100)
    audio = read_audio(Media(path), 16000)
    assert audio.dtype == np.float32 and audio.shape == (16000,)
    np.testing.assert_allclose(audio[200:-200], tone(1.0)[200:-200], atol=2e-3)
    part = read_audio(Media(path, 0.25, 0.5), 16000)
    np.testing.assert_allclose(part[200:-200], tone(1.0)[4200:7800], atol=2e-3)


@pytest.mark.parametrize(
    "ending, subtype", [("wav", "PCM_U8"), ("wav", "PCM_24"), ("wav", "FLOAT"), ("flac", "PCM_16"), ("ogg", "VORBIS")]
)
def test_every_sample_format_has_the_same_scale(tmp_path, ending, subtype):
    path = tmp_path / f"a.{ending}"
    soundfile.write(path, np.stack([tone(0.5), 0 * tone(0.5)], axis=1), 16000, subtype=subtype)
    audio = read_audio(Media(path), 16000)
    assert len(audio) == pytest.approx(8000, abs=200)  # Vorbis ends in whole blocks
    np.testing.assert_allclose(audio[:8000], tone(0.5) / 2, atol=0.02)


@pytest.mark.parametrize("codec, ending", [("libx264", "mp4"), ("mpeg1video", "mpg"), ("libx264", "mkv")])
def test_sound_of_a_video(tmp_path, codec, ending):
    path = write_video(tmp_path / f"a.{ending}", grey_steps(25), codec=codec, audio=tone(1.0, 44100), audio_rate=44100)
    audio = read_audio(Media(path), 16000)
    assert len(audio) == pytest.approx(16000, abs=1600)
    assert np.sqrt((audio[2000:14000] ** 2).mean()) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


def test_a_hole_in_the_sound_becomes_silence(tmp_path):
    path = write_video(tmp_path / "a.mkv", grey_steps(25), audio=tone(1.0))
    with av.open(str(path)) as source, av.open(str(tmp_path / "b.mkv"), "w") as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None and not 0.3 < packet.pts * packet.time_base < 0.6:
                packet.stream = stream
                target.mux(packet)
    audio = read_audio(Media(tmp_path / "b.mkv"), 16000)
    assert len(audio) == pytest.approx(16000, abs=1600)
    assert np.abs(audio[7000:8500]).max() < 1e-3 and np.abs(audio[11000:]).max() > 0.4


@pytest.mark.parametrize(
    "content, status, said",
    [
        (None, "missing", "doesn't exist"),
        (b"", "unreadable", "a file of 0 bytes that isn't a media file"),
        (bytes(range(256)) * 20, "unreadable", "a file of 5120 bytes that isn't a media file"),
        (b"hello world\n" * 50, "unreadable", "a file of 600 bytes of text, expected a media file"),
    ],
)
def test_what_is_no_media_file_is_told(tmp_path, content, status, said):
    path = tmp_path / "a.txt"
    if content is not None:
        path.write_bytes(content)
    for read in (lambda: next(video_frames(Media(path))), lambda: read_audio(Media(path), 16000)):
        with pytest.raises(ClipFailure, match=said) as caught:
            read()
        assert caught.value.status == status


def test_missing_streams_are_told(tmp_path):
    video = write_video(tmp_path / "a.mp4", grey_steps(3))
    with pytest.raises(ClipFailure, match="no_audio: the file holds no audio track"):
        read_audio(Media(video), 16000)
    soundfile.write(tmp_path / "a.wav", tone(0.2), 16000)
    with pytest.raises(ClipFailure, match="no_video: the file holds no video stream, only audio"):
        next(video_frames(Media(tmp_path / "a.wav")))


def test_a_silent_track_is_no_sound(tmp_path):
    path = write_video(tmp_path / "a.mp4", grey_steps(25), audio=np.zeros(16000))
    with pytest.raises(ClipFailure, match=r"no_audio: the audio track is digitally silent \(peak 0e\+00"):
        read_audio(Media(path), 16000)


def test_a_clip_beyond_the_end_of_its_file(tmp_path):
    path = write_video(tmp_path / "a.mp4", grey_steps(25), audio=tone(1.0))
    with pytest.raises(ClipFailure, match="too_short: the video has no frame between 5 s and 6 s"):
        next(video_frames(Media(path, 5.0, 6.0)))
    with pytest.raises(ClipFailure, match="no_audio: the audio track holds no sound between"):
        read_audio(Media(path, 5.0, 6.0), 16000)


def test_a_header_without_pictures_is_unreadable(tmp_path):
    options = {"movflags": "faststart"}
    path = write_video(tmp_path / "a.mp4", grey_steps(25), options=options)
    whole = path.read_bytes()
    for size in (300, len(whole) // 3, len(whole) - 1000):
        path.write_bytes(whole[:size])
        with pytest.raises(ClipFailure, match="unreadable"):
            list(video_frames(Media(path)))


def test_decoding_broken_files_says_nothing_on_the_terminal(tmp_path):
    path = write_video(tmp_path / "a.mkv", noise(20))
    data = bytearray(path.read_bytes())
    data[2000:9000] = bytes(7000)
    path.write_bytes(data)
    code = (
        "import sys; from pathlib import Path; from features.decode import video_frames; from features.sets import "
        "Media; list(video_frames(Media(Path(sys.argv[1]))))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.real_data
def test_real_clips(real_data):
    frames, sound = {}, {}
    for path in sorted((real_data / "clips").iterdir()):
        times = stamps(Media(path), gray=True)
        assert np.all(np.diff(times) > 0)
        frames[path.stem] = len(times), times[0]
        try:
            sound[path.stem] = read_audio(Media(path), 16000)
        except ClipFailure as failure:
            assert failure.status == "no_audio" and "digitally silent" in failure.reason
    assert len(frames) == 25
    assert set(frames) - set(sound) == {name for name in frames if name.startswith("02-01")} | {"WolfgangLanger_Pexels"}
    assert frames["bbaf2n"] == (75, 0.0) and frames["face_noface"][0] == 169
    assert frames["short_hamilton_clip"] == (275, pytest.approx(0.844, abs=1e-3))  # sound comes first
    assert not sound["face_noface"][: round(2.4 * 16000)].any() and sound["face_noface"][round(2.5 * 16000) :].any()
