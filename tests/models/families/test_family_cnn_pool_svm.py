import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.examples import Examples
from models.families.cnn_pool_svm import BINS, FAMILY, bin_means
from models.family import Context
from models.svm import RbfSVM


@given(t=st.integers(1, 80), k=st.integers(1, 20))
def test_bins_are_consecutive_non_empty_and_even(t, k):
    frames = np.random.default_rng(t).normal(size=(t, 3)).astype(np.float32)
    expected = []
    for i in range(k):
        start = i * t // k
        expected.append(frames[start : max(start + 1, (i + 1) * t // k)].mean(0, dtype=float))
    np.testing.assert_allclose(bin_means(frames, k), np.concatenate(expected), atol=1e-6)


def test_whole_bins_average_their_frames():
    frames = np.arange(12.0).reshape(6, 2)
    np.testing.assert_array_equal(bin_means(frames, 3), [1, 2, 5, 6, 9, 10])
    np.testing.assert_array_equal(bin_means(frames, 1), [5, 6])


def test_short_clips_repeat_frames_in_place():
    np.testing.assert_array_equal(bin_means(np.array([[1.0], [2.0], [3.0]]), 7), [1, 1, 1, 2, 2, 3, 3])
    np.testing.assert_array_equal(bin_means(np.array([[4.0]]), 15), [4.0] * 15)


@given(t=st.integers(1, 60))
def test_order_is_kept_and_the_mean_with_it(t):
    means = bin_means(np.arange(float(t))[:, None], 15)
    assert (np.diff(means) >= 0).all()
    if t % 15 == 0:
        assert means.mean() == pytest.approx((t - 1) / 2)


def test_seven_outputs_give_105_numbers():
    context = Context(tuple("abcdefg"), {"frames": (7,)})
    y = np.arange(28) % 7
    frames = [np.tile(np.eye(7, dtype=np.float32)[c] * 3, (t, 1)) for c, t in zip(y, range(1, 29), strict=True)]
    clips = Examples(tuple(map(str, range(28))), {"frames": frames}, context.classes, y)
    model = FAMILY.build(FAMILY.published[0], context)
    model.fit(clips, None)
    assert BINS == 15
    assert model.encode(clips).shape == (28, 105)
    np.testing.assert_array_equal(model.predict(clips).argmax(1), y)


def test_it_reads_what_lies_before_the_softmax_with_an_rbf_machine():
    """Kahou 2015, section 2.3."""
    model = FAMILY.build(FAMILY.published[0], Context(tuple("ab"), {"frames": (2,)}))
    assert FAMILY.inputs[0].default == "face_cnn.logits"
    assert isinstance(model._unfitted.named_steps["svm"], RbfSVM)
    assert {"C", "gamma"} <= set(FAMILY.space)


@pytest.mark.real_data
def test_real_outputs_of_a_cnn(real_data):
    pd = pytest.importorskip("pandas")
    table = pd.read_parquet(real_data / "features" / "afew2013_train_frames.parquet")
    columns = [name for name in table if name.startswith("convnet_")]
    clips = table.sort_values(["sample_id", "frame"]).groupby("sample_id")
    frames = [np.log(clip[columns].to_numpy(np.float32)) for _, clip in clips]
    labels = clips["label"].first()
    classes = tuple(sorted(set(labels)))
    y = np.array([classes.index(label) for label in labels])
    some = Examples(tuple(labels.index), {"frames": frames}, classes, y)
    side = np.random.default_rng(0).permutation(len(y)) % 4
    found = []
    for k in range(4):
        model = FAMILY.build(FAMILY.published[0], Context(classes, {"frames": (7,)}))
        train, held_out = some.subset(np.flatnonzero(side != k)), some.subset(np.flatnonzero(side == k))
        found.append(model.fit(train, held_out).metrics["accuracy"])
    assert np.mean(found) > 0.28  # the largest class: .172
