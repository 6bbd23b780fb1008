"""Labels of every step as the aim of a training."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from features.errors import EmofuseError
from models.concordance import concordance
from models.examples import Examples
from models.family import Context, Family, Input
from models.training.regression import StepNetwork, averaged, masked_loss
from models.training.settings import Settings
from models.training.step_model import StepModel

DIMENSIONS = ("arousal", "valence")
SETTINGS = Settings("rmsprop", 0.01, batch_size=2, max_epochs=30, patience=30)


class Steps(StepNetwork):
    """A linear layer on the mean of each window."""

    def __init__(self, window, outputs=2):
        super().__init__({"frames": (3,)})
        self.window, self.head = window, nn.Linear(3, outputs)

    def states(self, inputs, lengths):
        x, length = inputs["frames"], lengths["frames"]
        missing = -x.shape[1] % self.window
        x = torch.cat([x, x[:, -1:].expand(-1, missing, -1)], 1)
        inside = (torch.arange(x.shape[1]) < length[:, None])[..., None]
        sums = [(v.reshape(len(x), -1, self.window, v.shape[2])).sum(2) for v in (x * inside, inside * 1.0)]
        return sums[0] / sums[1].clamp(min=1)


FAMILY = Family(
    "steps",
    "",
    "",
    "",
    (Input("frames", "frame", 1, "short_term"),),
    {},
    (),
    lambda *a: None,
    lambda *a: None,
    tasks=("regression", "classification"),
)


def clips(n=6, seed=0, labelled=True):
    rng = np.random.default_rng(seed)
    arrays = [np.cumsum(rng.normal(size=(t, 3)), 0).astype(np.float32) for t in rng.integers(5, 40, n)]
    targets = [(a @ [[0.1, -0.2], [0.3, 0.0], [0.0, 0.1]]).astype(np.float32) for a in arrays]
    ids = tuple(f"c{i}" for i in range(n))
    return Examples(ids, {"frames": arrays}, (), targets=targets if labelled else None, dimensions=DIMENSIONS)


def model(window=1, loss="mse", settings=SETTINGS):
    context = Context((), {"frames": (3,)}, seed=1, dimensions=DIMENSIONS)
    return StepModel(FAMILY, {}, context, lambda: Steps(window), settings, loss)


@pytest.mark.parametrize("loss", ["mse", "ccc"])
@pytest.mark.parametrize("window", [1, 4])
def test_learns_and_measures_what_avec_measures(loss, window):
    fitted, held_out = model(window, loss), clips(4, seed=1)
    result = fitted.fit(clips(), held_out)
    predicted = fitted.predict_steps(held_out)
    assert [p.shape for p in predicted] == [t.shape for t in held_out.targets]
    y, p = np.concatenate(held_out.targets), np.concatenate(predicted)
    for d, name in enumerate(DIMENSIONS):
        assert result.metrics[f"ccc_{name}"] == pytest.approx(concordance(y[:, d], p[:, d]), abs=1e-6)
    assert result.metrics["ccc"] == max(row["ccc"] for row in result.curve) > 0.7
    for one in predicted:  # a window's prediction is repeated over its steps
        assert (np.diff(one[:window], axis=0) == 0).all()


def test_unlabelled_steps_change_nothing():
    examples = clips()
    arrays = [np.concatenate([a, a[:3] + 1000]) for a in examples.inputs["frames"]]
    targets = [np.concatenate([t, np.full((3, 2), np.nan, np.float32)]) for t in examples.targets]
    longer = replace(examples, inputs={"frames": arrays}, targets=targets)
    losses = []
    for some in (examples, longer):
        one = model()
        one._start = lambda network, rows: None  # the mean and deviation of the inputs are those of all steps
        losses.append(one.fit(some, None, epochs=1).curve[0]["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_losses_against_their_definitions():
    rng = np.random.default_rng(0)
    y, p = rng.normal(size=(40, 2)), rng.normal(size=(40, 2))
    y[5:9, 1] = np.nan
    known = ~np.isnan(y)
    arrays = torch.tensor(p), torch.tensor(y)
    assert masked_loss(*arrays, "mse") == pytest.approx(np.mean((y - p)[known] ** 2))
    ccc = [concordance(y[known[:, d], d], p[known[:, d], d]) for d in range(2)]
    assert masked_loss(*arrays, "ccc").item() == pytest.approx(1 - np.mean(ccc), abs=1e-6)


def test_windows_average_the_labels_that_are_known():
    labels = torch.tensor([[1.0], [3.0], [torch.nan], [4.0], [torch.nan]])
    np.testing.assert_array_equal(averaged(labels, 2), [[2], [4], [np.nan]])


def test_what_is_wrong_with_the_labels_is_told():
    good = clips()
    cases = [
        (clips(labelled=False), "carry no continuous labels"),
        (replace(good, dimensions=("valence", "arousal")), "Expected clips labelled with the dimensions arousal, val"),
        (replace(good, targets=[t[1:] for t in good.targets]), "Clip 'c0': expected a label for each step"),
        (replace(good, targets=[t + np.inf for t in good.targets]), "Clip 'c0': its labels hold infinity"),
    ]
    for wrong, message in cases:
        with pytest.raises(EmofuseError, match=message):
            model().fit(wrong, None, epochs=1)


def test_an_interrupted_training_goes_on_to_the_same_end(tmp_path):
    class Stop(Exception):
        pass

    def stop(epoch, metrics):
        if epoch == 3:
            raise Stop

    settings = replace(SETTINGS, max_epochs=6, checkpoint_every_s=0.0)
    whole = model(settings=settings).fit(clips(), clips(4, seed=1))
    with pytest.raises(Stop):
        model(settings=settings).fit(clips(), clips(4, seed=1), report=stop, resume=tmp_path)
    assert model(settings=settings).fit(clips(), clips(4, seed=1), resume=tmp_path).curve == whole.curve
