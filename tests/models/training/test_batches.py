"""Packing clips of different lengths and cutting them into batches."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import EmofuseError
from models.examples import Examples
from models.family import Input
from models.training.batches import epoch_batches, pack, scoring_batches
from models.training.rows import InMemory

FRAMES = Input("frames", "frame", 1, "short_term")


def examples(lengths, width=3, dtype=np.float32):
    rng = np.random.default_rng(0)
    arrays = [(100 * rng.random((t, width))).astype(dtype) for t in lengths]
    ids = tuple(f"c{i}" for i in range(len(lengths)))
    return Examples(ids, {"frames": arrays}, ("a", "b"), np.arange(len(lengths)) % 2)


def packed(lengths, width=3, dtype=np.float32):
    return pack(examples(lengths, width, dtype), (FRAMES,), {"frames": (width,)}, "cpu")


LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=12)


@given(lengths=LENGTHS, min_steps=st.integers(1, 12), data=st.data())
@settings(max_examples=50, deadline=None)
def test_a_batch_is_the_padded_clips(lengths, min_steps, data):
    clips = data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=6))
    inputs, length = packed(lengths).batch(torch.tensor(clips), min_steps)
    arrays = [examples(lengths).inputs["frames"][i] for i in clips]
    steps = max(min_steps, *map(len, arrays))
    plain = np.stack([np.concatenate([a, np.repeat(a[-1:], steps - len(a), axis=0)]) for a in arrays])
    np.testing.assert_array_equal(inputs["frames"].numpy(), plain)
    np.testing.assert_array_equal(length["frames"].numpy(), [max(len(a), min_steps) for a in arrays])


@given(lengths=LENGTHS, batch_size=st.integers(1, 6))
@settings(max_examples=50, deadline=None)
def test_an_epoch_holds_every_clip_once_in_even_batches(lengths, batch_size):
    batches = epoch_batches(packed(lengths), batch_size, torch.Generator().manual_seed(1))
    assert sorted(torch.cat(batches).tolist()) == list(range(len(lengths)))
    sizes = [len(b) for b in batches]
    assert max(sizes) <= batch_size and max(sizes) - min(sizes) <= 1


@given(lengths=LENGTHS)
@settings(max_examples=20, deadline=None)
def test_scoring_covers_every_clip_once(lengths):
    assert sorted(torch.cat(list(scoring_batches(packed(lengths)))).tolist()) == list(range(len(lengths)))


def test_scoring_batches_stay_small_in_memory():
    batches = list(scoring_batches(packed([1, 400, 500, 30_000, 2, 3], width=30)))
    assert [sorted(b.tolist()) for b in batches] == [[0, 1, 2, 4, 5], [3]]
    narrow = packed([200] * 100, width=1)
    assert max(map(len, scoring_batches(narrow))) * 200 <= 15_625, "a network's own layers are wider than one number"


def test_more_images_are_scored_at_once_on_a_large_gpu(monkeypatch):
    def stills(dtype, device):
        rows = InMemory(torch.empty(200, 150_000, dtype=dtype, device="meta"))
        return replace(packed([1] * 200), values={"frames": rows}, device=torch.device(device))

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=140 * 2**30))

    def most(dtype, device):
        return max(map(len, scoring_batches(stills(dtype, device))))

    assert most(torch.uint8, "cpu") == most(torch.float32, "cuda") == 6
    assert most(torch.uint8, "cuda") == 133


def test_little_is_padded_and_batches_differ_between_epochs():
    lengths = np.random.default_rng(0).integers(20, 81, 320)
    clips, generator = packed(lengths), torch.Generator().manual_seed(0)
    first, second = (epoch_batches(clips, 32, generator) for _ in range(2))
    computed = sum(len(b) * int(lengths[b.numpy()].max()) for b in first)
    assert computed / lengths.sum() < 1.25
    assert {tuple(sorted(b.tolist())) for b in first}.isdisjoint({tuple(sorted(b.tolist())) for b in second})


def test_the_generator_alone_decides_the_order():
    clips = packed([5, 3, 9, 1, 7, 2, 2])
    once, again, other = (epoch_batches(clips, 2, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4))
    assert [b.tolist() for b in once] == [b.tolist() for b in again] != [b.tolist() for b in other]


def test_images_stay_uint8():
    faces, shapes = Input("faces", "frame", 2, "faces"), {"faces": (2, 2)}
    stills = Examples(("c0", "c1"), {"faces": [np.ones((t, 2, 2), np.uint8) for t in (1, 3)]}, ("a",))
    inputs, _ = pack(stills, (faces,), shapes, "cpu").batch(torch.tensor([1, 0]))
    assert inputs["faces"].dtype == torch.uint8 and inputs["faces"].shape == (2, 3, 2, 2)
    floats = Examples(("c0",), {"faces": [np.ones((1, 2, 2))]}, ("a",))
    with pytest.raises(EmofuseError, match="Clip 'c0': expected 'faces' as images of type uint8, but got float64"):
        pack(floats, (faces,), shapes, "cpu")


def test_maps_become_float32():
    maps = Input("maps", "frame", 2, "audio_maps", is_map=True)
    some = Examples(("c0",), {"maps": [np.full((3, 2, 2), -0.5)]}, ("a",))
    inputs, _ = pack(some, (maps,), {"maps": (2, 2)}, "cpu").batch(torch.tensor([0]))
    assert inputs["maps"].dtype == torch.float32 and inputs["maps"].shape == (1, 3, 2, 2)


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.uint8, np.int64])
def test_vectors_become_float32(dtype):
    assert packed([2], dtype=dtype).values["frames"].dtype == torch.float32


def test_packing_leaves_the_clips_as_they_are():
    some = examples([2, 3])
    for array in some.inputs["frames"]:
        array.setflags(write=False)
    clips = pack(some, (FRAMES,), {"frames": (3,)}, "cpu")
    before = some.inputs["frames"][0].copy()
    clips.values["frames"].standardise_(torch.tensor(1.0), torch.tensor(2.0))
    np.testing.assert_array_equal(some.inputs["frames"][0], before)


def test_every_step_as_an_example_of_its_own():
    steps = packed([2, 1, 3]).as_steps()
    assert len(steps) == 6 and steps.labels().tolist() == [0, 0, 1, 0, 0, 0]
    inputs, lengths = steps.batch(torch.tensor([2]))
    np.testing.assert_array_equal(inputs["frames"][0], examples([2, 1, 3]).inputs["frames"][1])
    assert lengths["frames"].tolist() == [1]


@pytest.mark.parametrize(
    "some, message",
    [
        (examples([2, 0]), r"Clip 'c1': expected one or more 'frames' steps of shape \(3,\), .*array .*\(0, 3\)"),
        (examples([2, 2], width=4), r"Clip 'c0': expected one or more 'frames' steps of shape \(3,\), .*\(2, 4\)"),
        (examples([]), "Expected at least one clip, but got none"),
        (Examples(("c0",), {"audio": [np.ones(3)]}, ("a",)), "features for input 'frames', but got those for audio"),
    ],
)
def test_wrong_clips_are_refused(some, message):
    with pytest.raises(EmofuseError, match=message):
        pack(some, (FRAMES,), {"frames": (3,)}, "cpu")
