"""A CNN and an LSTM over windows of a clip, trained in two steps."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch import nn

from models.blocks.stills import StagedNetwork
from models.blocks.window_lstm import TwoStepModel, WindowLSTM
from models.examples import Examples
from models.families.audio_map_lstm import FAMILY
from models.family import Context
from models.training import loop as training
from models.training.batches import Window, pack
from models.training.settings import Settings

CLASSES = ("a", "b")
SHAPE = (4, 4)


class Tiny(StagedNetwork):
    """One convolution, and a second stage that the sequences do without."""

    def __init__(self):
        super().__init__(SHAPE, "maps")
        self.stages["conv"] = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.stages["late"] = nn.Identity()
        self.finish(3, 2)


def clips(lengths, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(len(lengths)) % 2
    arrays = [(c + rng.normal(size=(t, *SHAPE))).astype(np.float32) for c, t in zip(y, lengths, strict=True)]
    return Examples(tuple(f"c{i}" for i in range(len(lengths))), {"maps": arrays}, CLASSES, y)


def packed(lengths):
    return pack(clips(lengths), FAMILY.inputs, {"maps": SHAPE}, "cpu")


def model(single_epochs=3, window=Window(4), max_epochs=8):
    settings = Settings("sgd", 0.05, 4, max_epochs, 20, momentum=0.9, checkpoint_every_s=0.0)
    context = Context(CLASSES, {"maps": SHAPE}, seed=3)
    return TwoStepModel(
        replace(FAMILY, name="tiny"),
        {"single_epochs": single_epochs},
        context,
        Tiny,
        settings,
        lambda: WindowLSTM(Tiny(), "conv", 5, 2, 0.0, window, new_lr=10.0),
        settings,
    )


@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=5), steps=st.integers(1, 6), gap=st.integers(1, 9))
@hypothesis_settings(max_examples=60, deadline=None)
def test_windows_cover_a_clip_and_repeat_the_last_step_of_a_short_one(lengths, steps, gap):
    some = packed(lengths)
    windows = some.windows(Window(steps, gap))
    rows, _ = windows.batch(torch.arange(len(windows)), steps)
    seen = {n: [] for n in range(len(lengths))}
    for clip, window in zip(windows.clip.tolist(), rows["maps"][:, :, 0, 0].tolist(), strict=True):
        assert len(window) == steps
        seen[clip].append(window)
    for n, array in enumerate(clips(lengths).inputs["maps"]):
        thin = array[::gap, 0, 0].tolist()
        if len(thin) <= steps:
            assert seen[n] == [thin + thin[-1:] * (steps - len(thin))]
        else:
            assert seen[n][0] == thin[:steps] and seen[n][-1] == thin[-steps:]
            assert len(seen[n]) == -(-len(thin) // steps)
            assert {value for window in seen[n] for value in window} == set(thin)


def test_windows_carry_their_clips_label():
    windows = packed([9, 2, 5]).windows(Window(4))
    assert windows.clip.tolist() == [0, 0, 0, 1, 2, 2] and windows.labels().tolist() == [0, 0, 0, 1, 0, 0]


def test_a_clips_scores_are_the_mean_over_its_windows():
    some = clips([9, 3, 4])
    fitted = model()
    fitted.fit(some, None, epochs=4)
    pieces = [some.inputs["maps"][0][at] for at in (slice(0, 4), slice(4, 8), slice(5, 9))]
    alone = Examples(("x", "y", "z"), {"maps": pieces}, CLASSES)
    np.testing.assert_allclose(fitted.predict(some)[0], fitted.predict(alone).mean(0), atol=1e-6)
    np.testing.assert_allclose(fitted.encode(some)[0], fitted.encode(alone).mean(0), atol=1e-6)


def test_new_layers_start_as_stated_and_learn_faster():
    net = WindowLSTM(Tiny(), "conv", 50, 2, 0.0, Window(4), new_lr=10.0)
    assert list(net.stages) == ["conv"]
    for weight in (net.lstm.weight_ih_l0.detach(), net.lstm.weight_hh_l0.detach()):
        assert 0.009 < float(weight.abs().max()) <= 0.01
        assert float(weight.std()) == pytest.approx(0.02 / 12**0.5, rel=0.2)
    assert not net.lstm.bias_ih_l0.any() and not net.lstm.bias_hh_l0.any()
    cnn, new = net.parameter_groups(0.1)
    assert new["lr_factor"] == 10.0 and "lr_factor" not in cnn
    assert {id(p) for p in new["params"]} == {id(p) for layer in (net.lstm, net.head) for p in layer.parameters()}
    assert len(cnn["params"]) + len(new["params"]) == len(list(net.parameters()))


def test_the_second_step_begins_with_the_firsts_cnn_and_trains_it_on(monkeypatch):
    begun = []
    begin_with = WindowLSTM.begin_with

    def watched(network, cnn):
        before = network.lstm.weight_ih_l0.clone()
        begin_with(network, cnn)
        assert torch.equal(before, network.lstm.weight_ih_l0)
        assert torch.equal(cnn.scalers["maps"].mean, network.scalers["maps"].mean)
        begun.append((cnn.stages["conv"][0].weight.clone(), network.stages["conv"][0].weight.clone()))

    monkeypatch.setattr(WindowLSTM, "begin_with", watched)
    fitted = model()
    fitted.fit(clips([9, 3, 4, 6]), None, epochs=5)
    ((theirs, ours),) = begun
    assert torch.equal(theirs, ours) and not torch.equal(ours, fitted.network.stages["conv"][0].weight)


def test_epochs_are_counted_over_both_steps():
    told = []
    result = model().fit(clips([9, 3, 4, 6]), clips([5, 4], 1), report=lambda epoch, metrics: told.append(epoch))
    assert told == list(range(1, 9)) and [row["epoch"] for row in result.curve] == told
    assert result.epochs == 8 and 4 <= result.best_epoch <= 8, "the first step's weights alone score nothing"
    refit = model().fit(clips([9, 3, 4, 6]), None, epochs=6)
    assert (refit.epochs, refit.best_epoch) == (6, 6)


@pytest.mark.parametrize("most, single", [(1, 0), (2, 1), (3, 2), (9, 3)])
def test_the_second_step_has_one_epoch_at_least(monkeypatch, most, single):
    epochs = []
    real = training.train

    def train(*args, **options):
        epochs.append(real(*args, **options))
        return epochs[-1]

    monkeypatch.setattr(training, "train", train)
    result = model().fit(clips([9, 3]), clips([5, 4], 1), max_epochs=most)
    *first, second = [step.epochs for step in epochs]
    assert sum(first) == single and second == min(most, 8) - single and result.epochs == single + second


@pytest.mark.parametrize("stop", [1, 2, 3, 4, 6])
def test_killed_in_either_step_it_goes_on_to_the_same_end(tmp_path, stop):
    train, held_out = clips([9, 3, 4, 6]), clips([5, 4, 7], 1)
    whole = model()
    expected = whole.fit(train, held_out)

    def die(epoch, metrics):
        if epoch == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model().fit(train, held_out, report=die, resume=tmp_path)
    told = []
    again = model()
    result = again.fit(train, held_out, report=lambda epoch, metrics: told.append(epoch), resume=tmp_path)
    assert told == list(range(stop + 1, expected.epochs + 1)), "epochs that were done are not done again"
    assert result == expected
    np.testing.assert_array_equal(again.predict(held_out), whole.predict(held_out))


def test_another_split_of_epochs_does_not_continue_a_checkpoint(tmp_path, capsys):
    train = clips([9, 3, 4, 6])
    model(single_epochs=2).fit(train, None, epochs=4, resume=tmp_path)
    told = []
    other = replace(model().context, seed=4)
    again = model()
    again.context = other
    again.fit(train, None, epochs=4, report=lambda epoch, metrics: told.append(epoch), resume=tmp_path)
    assert told == [1, 2, 3, 4]
    assert "checkpoint is of another training" in "".join(capsys.readouterr())
