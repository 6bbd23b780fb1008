import numpy as np
import pytest
import torch
from tiny_checkpoints import SPEECH
from transformers import AutoFeatureExtractor, AutoModel

from features.audio.speech import read_speech
from features.encoders import hardware, speech_batches, speech_models
from features.encoders import speech as speech_set
from features.encoders.checkpoints import digest
from features.encoders.speech_batches import Joined, Padded
from features.encoders.speech_sizes import speech_sizes
from features.errors import ClipFailure, WrongUse
from features.sets import Media, parse_spec

NAMES = list(SPEECH)


def spec(folder, **params):
    return parse_spec(f"speech:model={folder}" + "".join(f",{name}={value}" for name, value in params.items())).params


def direct(folder, signal):
    """All hidden states (T, L, F) by plain calls of transformers on one clip."""
    extractor, model = AutoFeatureExtractor.from_pretrained(folder), AutoModel.from_pretrained(folder)
    if model.config.model_type == "whisper":
        model = model.get_encoder()
    made = extractor(signal, sampling_rate=extractor.sampling_rate, return_tensors="pt")
    values = made.get("input_values", made.get("input_features"))
    with torch.inference_mode():
        states = model.eval()(values, output_hidden_states=True).hidden_states
    return torch.stack([state[0] for state in states], dim=1).numpy()


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("kind", NAMES)
def test_a_batch_gives_what_transformers_gives_for_each_clip_alone(kind, packed, checkpoint, speech, monkeypatch):
    """Unpacked, batches are padded, as on a GPU."""
    if not packed:
        for module in (hardware, speech_models, speech_batches):
            monkeypatch.setattr(module, "can_pack", lambda: False)
        speech_set._loaded.cache_clear()
    folder, media = checkpoint(kind), [Media(speech(s)) for s in (0.9, 2.3, 1.4, 1.4)]
    found = dict(speech_set.extract_many(media, spec(folder, layers="all")))
    for number, one in enumerate(media):
        expected = direct(folder, read_speech(one))[: len(found[number].values)]
        # Sums in another order: 1e-5 of the largest value.
        np.testing.assert_allclose(found[number].values, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
        samples = len(read_speech(one))
        steps = -(-samples // 320) if kind == "whisper" else (samples - 400) // 320 + 1
        assert len(expected) == steps
    batch = getattr(speech_set._loaded(speech_sizes("speech", spec(folder)), digest(folder), "auto"), "_batch", None)
    assert kind == "whisper" or isinstance(batch, Joined if packed else Padded)
    speech_set._loaded.cache_clear()


@pytest.mark.parametrize("kind", ["wavlm", "whisper"])
def test_shapes_of_layers_and_pooling(kind, checkpoint, speech):
    folder, media = checkpoint(kind), Media(speech(1.4))
    everything = speech_set.extract(media, spec(folder, layers="all")).values
    for layers, pool, expected in (
        ("last", "none", everything[:, -1]),
        ("1-2", "none", everything[:, 1:3]),
        ("1", "mean", everything[:, 1].mean(0)[None]),
        ("0-1", "mean+std", np.concatenate([everything[:, :2].mean(0), everything[:, :2].std(0)], -1)[None]),
    ):
        params = spec(folder, layers=layers, pool=pool)
        found = speech_set.extract(media, params)
        np.testing.assert_allclose(found.values, expected, atol=1e-5)
        assert found.values.shape[1:] == speech_set.SET.shape(params)
        assert speech_set.SET.level_of(params) == ("frame" if pool == "none" else "clip")


@pytest.mark.parametrize("kind", ["hubert", "hubert-large", "wavlm-large", "whisper"])
def test_layers_past_the_last_one_asked_for_are_not_computed(kind, checkpoint, speech):
    """Whatever is asked for first, the others are there later."""
    folder, computed = checkpoint(kind), []
    speech_set._loaded.cache_clear()
    model = speech_set._loaded(speech_sizes("speech", spec(folder)), digest(folder), "auto")._model
    for number, layer in enumerate(getattr(model, "encoder", model).layers, start=1):
        layer.register_forward_pre_hook(lambda *_, number=number: computed.append(number))
    expected = direct(folder, read_speech(Media(speech(0.9))))
    last = expected.shape[1] - 1
    for text, layers in (("1", slice(1, 2)), ("0", slice(0, 1)), ("all", slice(0, None)), ("0-1", slice(0, 2))):
        computed.clear()
        found = speech_set.extract(Media(speech(0.9)), spec(folder, layers=text)).values
        wanted = expected[: len(found), layers]
        np.testing.assert_allclose(found.reshape(wanted.shape), wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())
        assert computed == list(range(1, {"1": 2, "0": 1, "all": last + 1, "0-1": 2}[text]))
    speech_set._loaded.cache_clear()


def test_time_stamps_lie_in_the_middle_of_what_a_step_hears(checkpoint, speech):
    found = speech_set.extract(Media(speech(1.4)), spec(checkpoint("hubert")))
    np.testing.assert_allclose(found.time_s[:2], [0.0125, 0.0325])
    whole = speech_set.extract(Media(speech(1.4), 0.4, 1.2), spec(checkpoint("hubert")))
    assert whole.time_s[0] == 0.0125 and 0.7 < whole.time_s[-1] < 0.8


def test_sound_comes_at_the_models_own_rate(checkpoint, speech):
    found = speech_set.extract(Media(speech(1.4, 44100)), spec(checkpoint("wav2vec2")))
    assert len(found.values) == (round(1.4 * 16000) - 400) // 320 + 1


@pytest.mark.parametrize("kind", ["hubert-large", "wavlm-large", "data2vec-audio"])
def test_windows_of_a_model_that_looks_not_far_are_the_whole(kind, checkpoint, speech, monkeypatch):
    """Without attention nothing is farther off than the position's convolution reaches: the cut can't be seen."""
    folder, media = checkpoint(kind), Media(speech(12.5))
    load = speech_set._loaded.__wrapped__

    def deaf(*which):
        encoder = load(*which)
        for layer in encoder._model.encoder.layers:
            layer.attention.register_forward_hook(lambda _, __, found: (torch.zeros_like(found[0]), *found[1:]))
        return encoder

    monkeypatch.setattr(speech_set, "_loaded", deaf)
    one, many = (speech_set.extract(media, spec(folder, layers="all", window=w)) for w in (20, 8))
    np.testing.assert_array_equal(one.time_s, many.time_s)
    np.testing.assert_allclose(many.values, one.values, atol=1e-4)


@pytest.mark.parametrize("kind", [name for name in NAMES if name != "whisper"])
def test_windows_of_a_long_clip_agree_with_the_whole(kind, checkpoint, speech):
    folder, media = checkpoint(kind), Media(speech(12.5))
    one, many = (speech_set.extract(media, spec(folder, window=w)) for w in (20, 8))
    np.testing.assert_array_equal(one.time_s, many.time_s)
    a, b = one.values - one.values.mean(0), many.values - many.values.mean(0)
    assert (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()) > 0.99


def test_whisper_takes_long_clips_in_windows_of_its_own_length(checkpoint, speech):
    folder, media = checkpoint("whisper"), Media(speech(12.5))
    found = speech_set.extract(media, spec(folder))
    assert len(found.values) == 12.5 * 50
    first = direct(folder, read_speech(Media(speech(12.5)))[: 5 * 16000])[:, -1]
    np.testing.assert_allclose(found.values[:200], first[:200], atol=1e-5)


def test_a_clip_that_fails_costs_itself_only(checkpoint, speech, tmp_path):
    (tmp_path / "x.wav").write_bytes(b"RIFFnothing")
    media = [Media(speech(0.9)), Media(tmp_path / "x.wav"), Media(speech(0.9), 0.0, 0.05), Media(speech(1.4))]
    found = dict(speech_set.extract_many(media, spec(checkpoint("hubert"))))
    assert [isinstance(found[n], ClipFailure) for n in range(4)] == [False, True, True, False]
    assert (found[1].status, found[2].status) == ("unreadable", "too_short")


@pytest.mark.parametrize(
    ("layers", "told"),
    [
        ("4", "Expected layers from 0 to 3, the model has no more, but got '4'"),
        ("3-1", "Expected layers from 0 to 3, the model has no more, but got '3-1'"),
        ("top", "Expected layers as last, all, a number or a range such as 6-12, but got 'top'"),
    ],
)
def test_layers_that_there_are_not(layers, told, checkpoint):
    with pytest.raises(WrongUse, match=told):
        speech_set.SET.shape(spec(checkpoint("hubert"), layers=layers))


def test_a_vision_model_is_refused(checkpoint):
    with pytest.raises(WrongUse, match=r"expected a speech model \(data2vec-audio, .*says model_type 'vit'; others"):
        speech_set.SET.shape(spec(checkpoint("vit")))


def test_windows_have_bounds(checkpoint):
    with pytest.raises(WrongUse, match="expected a window of 8 to 600 seconds, but got 1"):
        speech_set.SET.shape(spec(checkpoint("hubert"), window=1))


def test_random_weights_are_always_the_same(speech):
    params = spec("random", layers="6-12", pool="mean")
    one, two = (speech_set.extract(Media(speech(0.9)), params).values for _ in range(2))
    assert one.shape == (1, 7, 16) and np.isfinite(one).all()
    speech_set._loaded.cache_clear()
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one, speech_set.extract(Media(speech(0.9)), params).values)
