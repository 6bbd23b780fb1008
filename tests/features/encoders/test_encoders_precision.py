"""The precision of encoders: what may be asked for, that it is near enough, and that it is recorded and told."""

import shutil

import numpy as np
import pytest
import torch
from media_files import write_video

from features.clips import Clip, ClipTable, hash_media
from features.encoders import precision, vision
from features.encoders import speech as speech_set
from features.encoders.packed import Product
from features.encoders.precision import Precision, is_close, is_native
from features.errors import WrongUse
from features.extract import extract
from features.sets import Media, parse_spec
from features.store.store import feature_key, open_set

CPU, NAMES = torch.device("cpu"), ("auto", "float32", "bfloat16", "float16")


def with_flags(monkeypatch, flags):
    monkeypatch.setattr(precision, "_processor_flags", lambda: flags)
    speech_set._loaded.cache_clear()
    vision._loaded.cache_clear()


@pytest.fixture
def native(monkeypatch):
    """As if this processor had instructions for bfloat16: oneDNN gives what they give without them, too."""
    with_flags(monkeypatch, {"avx512_bf16"})
    if not is_native(CPU, "bfloat16"):
        pytest.skip("this torch has no products of bfloat16")


@pytest.fixture
def table(speech, tmp_path):
    for n, seconds in enumerate((0.9, 2.3, 1.4)):
        shutil.copy(speech(seconds), tmp_path / f"{n}.wav")
    return hash_media(ClipTable(tuple(Clip(str(n), f"{n}.wav", "train", "x", "g") for n in range(3)), tmp_path))


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("kind", ["wav2vec2", "hubert-large", "wavlm", "whisper"])
def test_bfloat16_is_near_float32_and_not_the_same(kind, checkpoint, speech):
    media, found = [Media(speech(s)) for s in (0.9, 1.4)], {}
    for name in ("float32", "bfloat16"):
        params = parse_spec(f"speech:model={checkpoint(kind)},layers=all,precision={name}").params
        arrays = dict(speech_set.extract_many(media, params))
        assert {array.computed for array in arrays.values()} == {name}
        found[name] = np.concatenate([array.values for array in arrays.values()])
    apart = np.sqrt(((found["bfloat16"] - found["float32"]) ** 2).mean((0, 2))) / found["float32"].std((0, 2))
    assert apart.max() < precision.TOLERANCE and apart[-1] > 1e-5


@pytest.mark.usefixtures("native")
def test_layers_that_the_first_batch_left_out_are_there_later(checkpoint, speech):
    media, text = Media(speech(0.9)), f"speech:model={checkpoint('hubert')},precision=bfloat16,layers="
    first, everything = (speech_set.extract(media, parse_spec(text + layers).params) for layers in ("1", "all"))
    np.testing.assert_array_equal(first.values, everything.values[:, 1])


@pytest.mark.usefixtures("native")
def test_pictures_too(checkpoint, tmp_path):
    film = tmp_path / "x.mp4"
    write_video(film, [np.full((48, 64, 3), 40 * n, np.uint8) for n in range(4)], rate=10)
    text = f"vision:model={checkpoint('dinov2')},of=frames,fps=0,precision="
    exact, close = (vision.extract(Media(film), parse_spec(text + name).params) for name in ("float32", "bfloat16"))
    assert (exact.computed, close.computed) == ("float32", "bfloat16")
    assert 0 < np.abs(close.values - exact.values).max() < 0.1


class Off(torch.nn.Module):
    """Three times its input, and wrong by `shift` in half precision."""

    def __init__(self, shift):
        super().__init__()
        self.product, self.shift = Product(3 * torch.eye(8), None), shift

    def forward(self, x):
        return self.product(x) + self.shift * self.product.lowered


def undecided(model):
    run = Precision(CPU, "float32", model)
    run._half, run._decided = "bfloat16", False
    return run


def test_half_is_taken_only_where_it_is_close():
    x = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    for shift, computed in ((0.0, "bfloat16"), (0.5, "float32, as bfloat16 came out more than 2 % from it")):
        model = Off(shift)
        run, exact = undecided(model), model(x)
        first = run(lambda model=model: model(x))
        assert run.computed == computed and torch.equal(first, exact) is (shift > 0)
        assert torch.equal(run(lambda model=model: model(x)), first), "the first batch is of the same precision"


@pytest.mark.parametrize("spoiled", [float("nan"), float("inf")])
def test_what_is_not_finite_is_never_close(spoiled):
    exact = torch.randn(2, 5, 3, 4)
    found = exact.clone()
    assert is_close(found, exact)
    found[0, 0, 1, 0] = spoiled
    assert not is_close(found, exact)


def test_each_layer_is_compared_by_itself():
    """A layer of large values must not hide what happens to one of small ones."""
    exact = torch.randn(2, 50, 2, 4) * torch.tensor([1000.0, 1.0])[:, None]
    found = exact.clone()
    found[:, :, 1] += 0.5
    assert not is_close(found, exact)


def test_what_a_processor_lacks_is_not_emulated(checkpoint, speech, monkeypatch):
    with_flags(monkeypatch, {"avx2"})
    text = f"speech:model={checkpoint('hubert')},precision="
    found = {n: speech_set.extract(Media(speech(0.9)), parse_spec(text + n).params) for n in ("auto", "bfloat16")}
    told = {name: array.computed for name, array in found.items()}
    assert told == {"auto": "float32", "bfloat16": "float32, as the device has no bfloat16 of its own"}
    np.testing.assert_array_equal(found["auto"].values, found["bfloat16"].values)


def test_the_flags_of_other_processors_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(precision, "_CPUINFO", tmp_path / "cpuinfo")
    assert precision._processor_flags() == set()
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nFeatures\t: fp asimd bf16\n\nprocessor\t: 1\n")
    assert precision._processor_flags() == {"fp", "asimd", "bf16"}


@pytest.mark.usefixtures("native")
def test_a_set_tells_how_each_clip_was_computed(table, checkpoint, tmp_path, capsys, monkeypatch):
    """Also one that was begun on another machine: what differs is said, and nothing is computed twice."""
    monkeypatch.setattr("features.together.TOGETHER", 1)
    spec = f"speech:model={checkpoint('hubert')},pool=mean,precision=bfloat16"
    broken = shutil.copy(table.root / "2.wav", tmp_path / "kept.wav")
    (table.root / "2.wav").unlink()
    extract(table, [spec], tmp_path / "store", workers=0)
    assert "2 clips ok, failed: 1 missing in" in (told := capsys.readouterr().err)
    assert told.split("\n  2:")[0].endswith("s; computed in bfloat16")
    with_flags(monkeypatch, set())
    shutil.copy(broken, table.root / "2.wav")
    extract(table, [spec], tmp_path / "store", workers=0)
    lack = "float32, as the device has no bfloat16 of its own"
    assert f"; computed in bfloat16 (2 clips) and in {lack} (1 clips)" in capsys.readouterr().err
    stored = open_set(tmp_path / "store", spec, table)
    assert [stored.reason(i) for i in stored.ids] == ["bfloat16", "bfloat16", lack]


def test_precision_is_part_of_the_key_once_it_is_asked_for(table, checkpoint):
    text = f"speech:model={checkpoint('hubert')}"
    keys = {p: feature_key(parse_spec(text + p), table) for p in ("", *(f",precision={n}" for n in NAMES))}
    assert keys[""] == keys[",precision=auto"] and len(set(keys.values())) == 4
    assert "precision" not in speech_set.SET.concrete(parse_spec(text).params), "keys of earlier releases hold"


@pytest.mark.parametrize("text", ["speech:model={hubert}", "vision:model={vit}"])
def test_an_unknown_precision_is_refused(text, checkpoint):
    spec = text.format(hubert=checkpoint("hubert"), vit=checkpoint("vit"))
    with pytest.raises(WrongUse, match=r"Unknown precision 'int8': known are auto, bfloat16, float16, float32"):
        params = parse_spec(f"{spec},precision=int8").params
        (speech_set if spec.startswith("speech") else vision).SET.shape(params)
