import sys
from pathlib import Path

import numpy as np
import pytest

from features.audio import is10, speech
from features.errors import ClipFailure, MachineFault
from features.sets import Media, get_set

MEDIA = Media(Path("x.wav"))


@pytest.fixture
def sound(monkeypatch):
    def give(signal):
        monkeypatch.setattr(speech, "read_audio", lambda media, rate: np.asarray(signal, np.float32))

    return give


@pytest.fixture
def _opensmile():
    pytest.importorskip("opensmile")


@pytest.mark.usefixtures("_opensmile")
def test_gives_1582_finite_numbers_quietly(sound, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sound(np.random.default_rng(0).normal(0, 0.1, 8000))
    array = get_set("is10").extract(MEDIA, {})
    assert array.values.shape == (1, *is10.SET.shape({})) == (1, 1582)
    assert array.values.dtype == np.float32
    assert np.isfinite(array.values).all()
    assert array.time_s.tolist() == [0.0]
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("_opensmile")
def test_the_configuration_is_the_compatible_one():
    smile = is10._opensmile()
    assert smile is is10._opensmile()
    assert smile.config_name == "IS10_paraling_compat"
    names = list(smile.feature_names)
    assert (names[0], names[-1]) == ("pcm_loudness_sma_maxPos", "F0final__Turn_duration")
    assert "F0final__Turn_numOnsets" in names  # the count; the other configuration has onsetRate


@pytest.mark.usefixtures("_opensmile")
def test_a_full_scale_peak_does_not_wrap_round():
    tone = np.sin(np.arange(8000) * np.pi / 20)
    below = np.minimum(tone, 1 - 2**-15)
    assert tone.max() == 1
    np.testing.assert_array_equal(is10.opensmile_functionals(tone), is10.opensmile_functionals(below))


@pytest.mark.usefixtures("_opensmile")
def test_short_sound_is_a_failed_clip(sound):
    sound(np.ones(1599))
    with pytest.raises(ClipFailure, match=r"sound lasts 0.100 s, but audio features need 0.1 s") as failure:
        is10.extract(MEDIA, {})
    assert failure.value.status == "too_short"
    sound(np.full(1600, 0.1))
    assert np.isfinite(is10.extract(MEDIA, {}).values).all()


def test_without_opensmile_the_way_out_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "opensmile", None)
    is10._opensmile.cache_clear()
    with pytest.raises(MachineFault, match=r"pip install 'emofuse\[research\]'.*use the set 'functionals'"):
        is10.extract(MEDIA, {})


@pytest.mark.real_data
@pytest.mark.usefixtures("_opensmile")
def test_real_speech_is_finite(real_data):
    for path in sorted((real_data / "ravdess_audio" / "Actor_01").glob("*.flac"))[::20]:
        values = is10.SET.extract(Media(path), {}).values
        assert values.shape == (1, 1582)
        assert np.isfinite(values).all()
