"""Clips that are read from the store batch by batch give the same numbers as those copied into memory."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from features.clips import Clip, ClipTable
from features.errors import EmofuseError
from features.sets import FeatureArray
from features.store.store import SetWriter
from features.store.stored_set import StoredSet
from models.examples import Examples
from models.family import Context, Input
from models.registry import get_family
from models.training import memory
from models.training.batches import Window, pack
from models.training.rows import InMemory, InStore

CLASSES = ("a", "b")


def stored(folder, dtype, shape, lengths):
    """Arrays as a trial sees them: views of a store's memory-mapped file."""
    rng = np.random.default_rng(0)
    ids = tuple(f"c{i}" for i in range(len(lengths)))
    ClipTable(tuple(Clip(i, None, "train", "a", i) for i in ids), folder)
    writer = SetWriter(folder, "mine", "k", ids, "frame", shape, imported=True)
    drawn = [(100 + 30 * rng.normal(size=(t, *shape))).clip(0, 255).astype(dtype) for t in lengths]
    writer.write((i, FeatureArray(a, np.arange(len(a)))) for i, a in zip(ids, drawn, strict=True))
    found = StoredSet(folder / "mine" / "k")
    return Examples(ids, {"x": [found[i] for i in ids]}, CLASSES, np.arange(len(ids)) % 2)


def both(monkeypatch, examples, slot):
    packs = []
    for most in (10**9, 0):
        monkeypatch.setattr(memory, "most_bytes", lambda most=most: most)
        packs.append(pack(examples, (slot,), {slot.slot: examples.inputs[slot.slot][0].shape[1:]}, "cpu"))
    return packs


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=8), data=st.data())
@settings(max_examples=40, deadline=None)
def test_any_rows_in_any_order(lengths, data):
    arrays = [np.random.default_rng(i).normal(size=(t, 2)).astype(np.float32) for i, t in enumerate(lengths)]
    rows = torch.tensor(data.draw(st.lists(st.integers(0, sum(lengths) - 1), max_size=20)), dtype=torch.int64)
    one, other = InMemory(torch.from_numpy(np.concatenate(arrays))), InStore(arrays, torch.float32)
    for _ in range(2):
        assert torch.equal(one.take(rows), other.take(rows))
        assert len(one) == len(other) and one.shape == other.shape
        for a, b in zip(one.pieces(4), other.pieces(4), strict=True):
            assert torch.equal(a, b)
        for some in (one, other):
            some.standardise_(torch.tensor([0.3, -1.0]), torch.tensor([2.0, 0.7]))


@pytest.mark.parametrize(
    "dtype, slot",
    [
        (np.uint8, Input("x", "frame", 2, "faces")),
        (np.float32, Input("x", "frame", 2, "audio_maps", is_map=True)),
        (np.float64, Input("x", "frame", 2, "audio_maps", is_map=True)),
    ],
)
def test_batches_steps_and_windows_are_the_same(tmp_path, monkeypatch, dtype, slot):
    examples = stored(tmp_path, dtype, (3, 2), (5, 1, 12))
    one, other = both(monkeypatch, examples, slot)
    assert isinstance(one.values["x"], InMemory) and isinstance(other.values["x"], InStore)
    for change in (lambda p: p, lambda p: p.as_steps(), lambda p: p.windows(Window(3, 2))):
        a, b = change(one), change(other)
        order = torch.randperm(len(a))
        for x, y in zip(a.batch(order, 4), b.batch(order, 4), strict=True):
            assert torch.equal(x["x"], y["x"]) and x["x"].dtype == y["x"].dtype


@pytest.mark.parametrize(
    "name, dtype, shape, point",
    [
        ("cnn_irnn", np.float32, (6,), {"hidden": 50}),
        ("face_cnn", np.uint8, (48, 48), {}),
        ("audio_map_lstm", np.float32, (34, 34), {"width": 0.125, "single_epochs": 1}),
    ],
)
def test_training_from_the_store_gives_the_same_model(tmp_path, monkeypatch, name, dtype, shape, point):
    examples = stored(tmp_path, dtype, shape, (3, 1, 4, 2))
    family = get_family(name)
    (slot,) = family.inputs
    examples = Examples(examples.ids, {slot.slot: examples.inputs["x"]}, CLASSES, examples.y)

    def scores(most):
        monkeypatch.setattr(memory, "most_bytes", lambda: most)
        model = family.build({**family.published[0], **point}, Context(CLASSES, {slot.slot: shape}, seed=3))
        model.fit(examples, examples, max_epochs=2)
        return model.predict(examples), model.encode(examples)

    for a, b in zip(scores(10**9), scores(0), strict=True):
        np.testing.assert_array_equal(a, b)


def test_nan_in_the_store_is_told_by_the_clips_name(monkeypatch):
    monkeypatch.setattr(memory, "most_bytes", lambda: 0)
    arrays = [np.zeros((2, 3)), np.array([[0.0, np.nan, 1.0]])]
    bad = Examples(("c0", "c1"), {"x": arrays}, CLASSES)
    with pytest.raises(EmofuseError, match="Clip 'c1': its 'x' features hold NaN or infinity"):
        pack(bad, (Input("x", "frame", 1, "short_term"),), {"x": (3,)}, "cpu")


def test_a_quarter_of_the_free_memory_is_filled(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    8000 kB\n")
    assert memory.most_bytes() == 2000 * 1024
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.available_bytes() == 8000 * 1024
    (tmp_path / "memory.max").write_text("5000000\n")
    (tmp_path / "memory.current").write_text("3000000\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 1000000\n")
    assert memory.available_bytes() == 3_000_000
    (tmp_path / "meminfo").unlink()
    assert memory.available_bytes() == 3_000_000


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("most", [10**9, 0])
def test_rows_too_large_for_a_gpu_give_the_same_numbers_from_pinned_memory_or_the_store(tmp_path, monkeypatch, most):
    examples = stored(tmp_path, np.float32, (3,), [5, 1, 9, 4])
    slot, clips = Input("x", "frame", 1, "mine"), torch.tensor([2, 0, 3])

    def batch():
        packed = pack(examples, (slot,), {"x": (3,)}, "cuda")
        packed.values["x"].standardise_(torch.full((3,), 100.0, device="cuda"), torch.full((3,), 30.0, device="cuda"))
        return packed, packed.batch(clips)

    there, expected = batch()
    assert there.values["x"].take(clips).is_cuda
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device=None: (0, 0))
    monkeypatch.setattr(memory, "most_bytes", lambda: most)
    here, given = batch()
    taken = here.values["x"].take(clips)
    assert not taken.is_cuda and taken.is_pinned() == bool(most)
    for ours, theirs in zip(expected, given, strict=True):
        assert theirs["x"].is_cuda
        torch.testing.assert_close(theirs["x"], ours["x"], atol=1e-6, rtol=1e-6)
