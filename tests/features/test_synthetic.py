from collections import Counter
from concurrent.futures.process import BrokenProcessPool

import av
import cv2
import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from features.clips import check_clips
from features.datasets.synthetic import corpus, make_corpus, make_new_clips, make_stills
from features.datasets.synthetic.emotions import EMOTIONS, VOICE, draw_showing
from features.datasets.synthetic.face import Face
from features.datasets.synthetic.looks import draw_look
from features.datasets.synthetic.scene import film
from features.datasets.synthetic.voice import SAMPLE_RATE, draw_timbre, speak
from features.decode import read_audio, video_frames
from features.errors import ClipFailure, EmofuseError, WrongUse
from features.files import file_sha256

SMALL = {"train_actors": 1, "val_actors": 1, "test_actors": 1, "clips_per_actor": 7}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("corpus"), seed=3, flaws=0.0, workers=1, **SMALL)


@pytest.fixture(scope="module")
def stills(tmp_path_factory):
    return make_stills(
        tmp_path_factory.mktemp("stills"), seed=3, train_actors=4, val_actors=2, stills_per_actor=7, workers=1
    )


def faces_found(frames) -> list[bool]:
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    return [len(cascade.detectMultiScale(frame, 1.1, 4, minSize=(48, 48))) > 0 for frame in grey]


def test_corpus_is_balanced_and_split_by_actor(table):
    check_clips(table)
    assert table.classes == EMOTIONS
    assert Counter(clip.label for clip in table.clips) == dict.fromkeys(EMOTIONS, 3)
    assert [{clip.group_id for clip in table.split(s)} for s in ("train", "val", "test")] == [{"a01"}, {"a02"}, {"a03"}]
    clip = table.by_id("a03_sad_01")
    assert (clip.label, clip.dataset, clip.media_sha256) == ("sad", "synthetic", file_sha256(table.media(clip).path))


def test_clips_are_ordinary_mp4_files(table):
    lengths = []
    for clip in table.clips[:4]:
        with av.open(table.media(clip).path) as file:
            assert (file.streams.video[0].codec.name, file.streams.video[0].average_rate) == ("h264", 25)
            assert (file.streams.audio[0].codec.name, file.streams.audio[0].rate) == ("aac", SAMPLE_RATE)
        time_s = [time for time, _ in video_frames(table.media(clip))]
        lengths.append(len(time_s))
        sound_s = len(read_audio(table.media(clip), SAMPLE_RATE)) / SAMPLE_RATE
        assert 1.4 < time_s[-1] < 2.5 and abs(sound_s - time_s[-1]) < 0.15
    assert len(set(lengths)) > 1


def test_same_seed_gives_the_same_files_whatever_the_processes(table, tmp_path):
    again = make_corpus(tmp_path, seed=3, flaws=0.0, workers=2, **(SMALL | {"test_actors": 0}))
    assert [clip.media_sha256 for clip in again.clips] == [clip.media_sha256 for clip in table.clips[:14]]


def test_viola_jones_finds_the_faces(table, stills):
    frames = [image for clip in table.clips for _, image in video_frames(table.media(clip), every_s=0.4)]
    frames += [image for clip in stills.clips for _, image in video_frames(stills.media(clip))]
    assert len(frames) > 100 and np.mean(faces_found(frames)) >= 0.9


def test_flawed_clips_lack_the_sound_or_lose_the_face(tmp_path):
    # With a third for each flaw every clip has one of them.
    flawed = make_corpus(tmp_path, seed=1, flaws=1 / 3, workers=1, **(SMALL | {"test_actors": 0}))
    kinds = Counter()
    for clip in flawed.clips:
        try:
            read_audio(flawed.media(clip), SAMPLE_RATE)
        except ClipFailure as failure:
            assert failure.status == "no_audio"
            with av.open(flawed.media(clip).path) as file:
                kinds["silent" if file.streams.audio else "no audio"] += 1
        else:
            kinds["leaves"] += 1
            found = faces_found(image for _, image in video_frames(flawed.media(clip), every_s=0.2))
            assert 0.15 < np.mean(found) < 0.85
    assert set(kinds) == set(corpus.FLAWS)


def test_stills_show_other_actors(stills, table):
    check_clips(stills)
    assert {clip.split for clip in stills.clips} == {"train", "val"}
    assert not {clip.group_id for clip in stills.clips} & {clip.group_id for clip in table.clips}
    assert [image.shape for _, image in video_frames(stills.media(stills.clips[0]))] == [(144, 144, 3)]


def test_new_clips_do_not_tell_their_emotion(tmp_path):
    truth = make_new_clips(tmp_path / "3", seed=3, actors=1, clips_per_actor=2, workers=1)
    assert sorted(path.name for path in truth) == sorted(path.name for path in tmp_path.rglob("*.mp4"))
    assert set(truth.values()) <= set(EMOTIONS)
    assert not any(emotion in path.name for path in truth for emotion in EMOTIONS)
    other = make_new_clips(tmp_path / "4", seed=4, actors=1, clips_per_actor=2, workers=1)
    assert not {file_sha256(path) for path in truth} & {file_sha256(path) for path in other}


def test_face_and_voice_confuse_different_emotions():
    rng = np.random.default_rng(0)
    emotion = np.arange(2100) % 7
    shown = [draw_showing(EMOTIONS[e], rng) for e in emotion]
    fit, rest = slice(0, 700), slice(700, None)
    chance, pairs = [], []
    for codes in ([s.face for s in shown], [s.voice for s in shown]):
        model = LinearDiscriminantAnalysis().fit(codes[fit], emotion[fit])
        chance.append(model.predict_proba(codes[rest]))
        wrong = Counter(frozenset(pair) for pair in zip(emotion[rest], model.predict(codes[rest]), strict=True))
        pairs.append({pair for pair, _ in wrong.most_common(10) if len(pair) == 2})
    face, voice, both = (np.mean(p.argmax(1) == emotion[rest]) for p in (*chance, chance[0] * chance[1]))
    assert 0.6 < face < 0.9 and 0.6 < voice < 0.9 and both > max(face, voice) + 0.08
    assert frozenset({0, 1}) in pairs[0] - pairs[1]  # anger and disgust share a face, not a voice
    assert frozenset({3, 6}) in pairs[1] - pairs[0]  # happiness and surprise share a voice, not a face


def test_head_that_leaves_is_gone_and_one_that_stays_moves():
    rng = np.random.default_rng(2)
    face = Face(draw_look(rng, low_voice=True))
    apex = np.zeros(7)
    frames = list(film(face, apex, np.zeros(50), True, np.random.default_rng(5)))
    assert faces_found([frames[0], frames[-1]]).count(True) == 1
    assert frames[0].shape == (176, 208, 3) and np.any(frames[0] != frames[1])


def test_voice_follows_its_parts():
    def measured(emotion: str) -> tuple[float, float]:
        timbre = draw_timbre(np.random.default_rng(1), low_voice=True)
        audio, loudness = speak(timbre, np.array(VOICE[emotion]), 2 * SAMPLE_RATE, np.random.default_rng(2))
        assert audio.dtype == np.float32 and np.abs(audio).max() < 1 and 0 <= loudness.min() <= loudness.max() <= 1
        power = np.abs(np.fft.rfft(audio)) ** 2
        return 10 * np.log10(np.mean(audio**2)), np.average(np.fft.rfftfreq(len(audio), 1 / SAMPLE_RATE), weights=power)

    (angry_db, angry_hz), (sad_db, sad_hz) = measured("angry"), measured("sad")
    assert angry_db > sad_db + 6 and angry_hz > sad_hz + 100


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_actors": 0}, "at least one actor in train, but got 0"),
        ({"train_actors": 1, "clips_per_actor": 6}, "1 actors with 6 each give 6: raise either"),
        ({"clips_per_actor": 0}, "at least one clip for each actor, but got 0"),
        ({"flaws": 0.5}, "between 0 and 0.33, but got 0.5"),
        ({"seed": -1}, "seed of 0 or more, but got -1"),
        ({"workers": 0}, "workers is 1 or more, but got 0"),
    ],
)
def test_wrong_options_are_told(tmp_path, options, message):
    with pytest.raises(WrongUse, match=message):
        make_corpus(tmp_path, **options)
    assert not list(tmp_path.iterdir())


def test_a_root_that_cannot_be_written_is_told(tmp_path):
    root = tmp_path / "file"
    root.write_text("")
    with pytest.raises(EmofuseError, match="can't write the synthetic corpus there"):
        make_corpus(root, workers=1, **SMALL)


def test_a_dead_process_is_told(tmp_path, monkeypatch):
    def die(*_):
        raise BrokenProcessPool

    monkeypatch.setattr(corpus, "_shoot", die)
    with pytest.raises(EmofuseError, match=r"died after 0 of 21 files .* with fewer workers"):
        make_corpus(tmp_path, workers=1, **SMALL)
