"""The training loop: stopping, refits, checkpoints, clipping, divergence."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from features.errors import EmofuseError
from models import pulse
from models.examples import Examples
from models.families import face_cnn, temporal_pooling
from models.families.temporal_pooling import TemporalPooling
from models.family import Context, Input
from models.training import classification
from models.training.batches import pack
from models.training.loop import train
from models.training.settings import Settings

CLASSES = ("a", "b")
FAST = Settings("adam", 0.01, batch_size=4, max_epochs=10, patience=10, checkpoint_every_s=0.0)


def clips(n=12, seed=0, noise=2.0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    steps = rng.integers(1, 6, n)
    arrays = [(c + noise * rng.normal(size=(t, 4))).astype(np.float32) for c, t in zip(y, steps, strict=True)]
    return Examples(tuple(f"c{i}" for i in range(n)), {"frames": arrays}, CLASSES, y)


def rows(examples, device="cpu"):
    return pack(examples, (Input("frames", "frame", 1, "short_term"),), {"frames": (4,)}, device)


def network(dropout=0.5):
    torch.manual_seed(0)
    return TemporalPooling(4, 8, 2, "max", "hidden", dropout)


def weights(net):
    return {name: value.clone() for name, value in net.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def scripted(monkeypatch, *right_and_confidence):
    """Held-out scores by epoch: how many of four clips are right, and the probability given to every right class."""
    script = iter(right_and_confidence)

    def score(net, held_out):
        right, confidence = next(script)
        p = np.full((4, 2), 0.5, np.float32)
        for row, label in enumerate(held_out.labels().tolist()):
            true = confidence if row < right else 0.4
            p[row] = (true, 1 - true) if label == 0 else (1 - true, true)
        return p

    monkeypatch.setattr(classification, "score", score)


def trained(settings, **options):
    """Scripted training on four held-out clips: the result, the network, and its weights after each epoch."""
    net, after = network(), []
    options.setdefault("report", lambda epoch, metrics: after.append(weights(net)))
    return train(net, rows(clips()), rows(clips(4)), settings, **options), net, after


def test_the_best_epoch_is_best_by_the_metric(monkeypatch):
    for metric, best in (("accuracy", 1), ("unweighted_accuracy", 1), ("macro_f1", 1), ("log_loss", 2)):
        scripted(monkeypatch, (3, 0.51), (2, 0.99), (3, 0.505))
        result, net, after = trained(replace(FAST, max_epochs=3), metric=metric)
        assert (result.best_epoch, result.epochs) == (best, 3) and same(weights(net), after[best - 1])


def test_patience_counts_epochs_without_a_better_metric(monkeypatch):
    for metric, epochs in (("accuracy", 3), ("log_loss", 5)):
        scripted(monkeypatch, (3, 0.51), (2, 0.9), (2, 0.99), (2, 0.9), (2, 0.9))
        assert trained(replace(FAST, patience=2), metric=metric)[0].epochs == epochs


def test_keeps_the_most_accurate_epoch(monkeypatch):
    scripted(monkeypatch, (1, 0.9), (3, 0.6), (2, 0.9), (2, 0.99))
    result, net, after = trained(replace(FAST, max_epochs=4))
    assert (result.epochs, result.best_epoch, result.metrics["accuracy"]) == (4, 2, 0.75)
    assert same(weights(net), after[1]) and not same(after[1], after[3])
    assert [row["accuracy"] for row in result.curve] == [0.25, 0.75, 0.5, 0.5]


def test_the_log_loss_breaks_ties(monkeypatch):
    scripted(monkeypatch, (3, 0.6), (3, 0.9), (3, 0.9), (3, 0.7))
    result, net, after = trained(replace(FAST, max_epochs=4))
    assert result.best_epoch == 2, "an equal result does not replace the older one"
    assert same(weights(net), after[1])


def test_stops_after_patience_epochs_without_a_better_result(monkeypatch):
    scripted(monkeypatch, (1, 0.9), (2, 0.9), (2, 0.8), (1, 0.9), (1, 0.9), (4, 0.9))
    result, _, _ = trained(replace(FAST, patience=3))
    assert (result.epochs, result.best_epoch) == (5, 2)


def test_training_ends_with_the_epoch_that_reaches_the_limit_of_iterations(monkeypatch):
    scripted(monkeypatch, *[(1, 0.9)] * 9)
    limited = replace(FAST, max_iterations=7)  # 3 batches an epoch
    assert trained(limited)[0].epochs == 3
    assert train(network(), rows(clips()), None, limited, epochs=5).epochs == 5, "a refit's epochs are given"


def test_max_epochs_caps_the_settings_and_never_lifts_them(monkeypatch):
    scripted(monkeypatch, *[(1, 0.9)] * 9)
    assert trained(replace(FAST, max_epochs=4), max_epochs=2)[0].epochs == 2
    assert trained(replace(FAST, max_epochs=4), max_epochs=9)[0].epochs == 4


def test_the_curve_tells_the_accuracy_on_the_clips_of_the_fit():
    net, own = network(dropout=0.0), rows(clips())
    still = train(net, own, None, replace(FAST, lr=0.0), epochs=2).curve
    right = classification.score(net, own).argmax(axis=1) == own.labels().numpy()
    assert [row["fit_accuracy"] for row in still] == [pytest.approx(right.mean())] * 2, "nothing was learnt"


def test_a_refit_takes_exactly_its_epochs_and_keeps_the_last():
    told = []
    net, after = network(), []

    def report(epoch, metrics):
        told.append((epoch, set(metrics)))
        after.append(weights(net))

    result = train(net, rows(clips()), None, replace(FAST, max_epochs=3, patience=1), epochs=7, report=report)
    assert (result.epochs, result.best_epoch, dict(result.metrics)) == (7, 7, {})
    assert told == [(epoch, {"loss", "lr", "fit_accuracy"}) for epoch in range(1, 8)]
    assert same(weights(net), after[-1]) and not same(after[-1], after[-2])


def test_training_needs_something_to_stop_on():
    with pytest.raises(EmofuseError, match="expects held-out clips to stop on, or a number of epochs, but got neither"):
        train(network(), rows(clips()), None, FAST)
    with pytest.raises(EmofuseError, match="expects at least one epoch, but got 0"):
        train(network(), rows(clips()), None, FAST, epochs=0)


class Killed(Exception):
    pass


def resumed(model_of, train_clips, held_out, folder, kill_after):
    """Weights and result of a training that is killed after each of some epochs, and of one that is left alone."""

    def killer(epoch, metrics):
        if epoch in kill_after:
            raise Killed

    straight = model_of()
    expected = straight.fit(train_clips, held_out, max_epochs=8)
    for _ in kill_after:
        with pytest.raises(Killed):
            model_of().fit(train_clips, held_out, max_epochs=8, report=killer, resume=folder)
    told = []
    model = model_of()
    result = model.fit(train_clips, held_out, max_epochs=8, report=lambda e, _: told.append(e), resume=folder)
    assert told[0] == max(kill_after) + 1, "it went on where it was killed"
    return (result, model), (expected, straight)


def pooling_model(optimiser="adam", seed=0):
    context = Context(CLASSES, {"frames": (4,)}, seed)
    model = temporal_pooling.build(temporal_pooling.FAMILY.published[0], context)
    model.settings = replace(model.settings, optimiser=optimiser, momentum=0.5, checkpoint_every_s=0.0, batch_size=4)
    return model


@pytest.mark.parametrize("optimiser", ["sgd", "adam", "rmsprop"])
def test_a_killed_training_goes_on_to_the_same_weights(tmp_path, optimiser):
    (result, model), (expected, straight) = resumed(
        lambda: pooling_model(optimiser), clips(), clips(6, seed=1), tmp_path / "c", kill_after=(3, 5)
    )
    assert result == expected
    assert same(weights(model.network), weights(straight.network))
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["training.pt"], "no temporary file is left"


def test_a_training_that_is_asked_to_stop_writes_its_checkpoint_first(tmp_path):
    def model_of():
        model = pooling_model()
        model.settings = replace(model.settings, checkpoint_every_s=1000.0)
        return model

    def asking(epoch, metrics):
        if epoch == 3:
            pulse.ask_to_stop()

    straight, model, told = model_of(), model_of(), []
    expected = straight.fit(clips(), clips(6, seed=1), max_epochs=8)
    with pytest.raises(pulse.Stopped):
        model_of().fit(clips(), clips(6, seed=1), max_epochs=8, report=asking, resume=tmp_path)
    pulse.forget_stop()
    result = model.fit(clips(), clips(6, seed=1), max_epochs=8, report=lambda e, _: told.append(e), resume=tmp_path)
    assert told[0] == 4 and result == expected
    assert same(weights(model.network), weights(straight.network))


def test_a_killed_training_with_augmentation_and_batch_norm_goes_on_to_the_same_weights(tmp_path):
    rng = np.random.default_rng(0)
    stills = Examples(
        tuple(f"s{i}" for i in range(8)),
        {"faces": list(rng.integers(0, 255, (8, 1, 48, 48), np.uint8))},
        CLASSES,
        np.arange(8) % 2,
    )

    def model_of():
        hyperparameters = {**face_cnn.FAMILY.published[0], "batch_norm": True, "batch_size": 32}
        model = face_cnn.build(hyperparameters, Context(CLASSES, {"faces": (48, 48)}))
        model.settings = replace(model.settings, checkpoint_every_s=0.0, batch_size=4)
        return model

    (result, model), (expected, straight) = resumed(model_of, stills, stills.subset([0, 1]), tmp_path, kill_after=(2,))
    assert result == expected
    assert same(weights(model.network), weights(straight.network))


@pytest.mark.parametrize("damage", ["cut", "other seed", "other clips"])
def test_a_checkpoint_that_does_not_fit_is_passed_over(tmp_path, capsys, damage):
    other = pooling_model(seed=1 if damage == "other seed" else 0)
    other.fit(clips(10 if damage == "other clips" else 12), clips(6, seed=1), max_epochs=2, resume=tmp_path)
    if damage == "cut":
        file = tmp_path / "training.pt"
        file.write_bytes(file.read_bytes()[:1000])
    capsys.readouterr()
    model, straight = pooling_model(), pooling_model()
    result = model.fit(clips(), clips(6, seed=1), max_epochs=3, resume=tmp_path)
    assert ("can't be read" if damage == "cut" else "of another training") in capsys.readouterr().err
    assert result == straight.fit(clips(), clips(6, seed=1), max_epochs=3)


def test_checkpoints_are_written_now_and_then(tmp_path):
    model = pooling_model()
    model.settings = replace(model.settings, checkpoint_every_s=3600)
    model.fit(clips(), None, epochs=5, resume=tmp_path)
    assert not list(tmp_path.iterdir())


def test_gradients_are_clipped_to_the_norm():
    net = network(dropout=0.0)
    before = torch.cat([p.detach().flatten().clone() for p in net.parameters()])
    train(net, rows(clips()), None, Settings("sgd", 1.0, 12, 1, 1, clip=1e-3), epochs=1)
    step = torch.cat([p.detach().flatten() for p in net.parameters()]) - before
    assert float(step.norm()) == pytest.approx(1e-3, rel=1e-2)


def test_l1_pulls_every_parameter_towards_zero():
    start = network(dropout=0.0)
    nets, losses = {}, {}
    for l1 in (0.0, 1e-4):
        nets[l1] = network(dropout=0.0)
        result = train(nets[l1], rows(clips()), None, Settings("sgd", 0.5, 12, 1, 1, l1=l1), epochs=1)
        losses[l1] = result.curve[0]["loss"]
    for before, free, pulled in zip(start.parameters(), nets[0.0].parameters(), nets[1e-4].parameters(), strict=True):
        torch.testing.assert_close(free - pulled, 0.5 * 1e-4 * before.sign(), atol=2e-7, rtol=0)
    size = sum(float(p.detach().abs().sum()) for p in start.parameters())
    assert losses[1e-4] - losses[0.0] == pytest.approx(1e-4 * size, rel=1e-3)


def test_divergence_is_told_with_epoch_and_learning_rate():
    with pytest.raises(EmofuseError, match=r"Training diverged in epoch [12] at learning rate 1e\+30"):
        train(network(), rows(clips()), rows(clips(4)), Settings("sgd", 1e30, 4, 5, 5), epochs=5)


def test_learning_rate_schedules():
    by_epoch = Settings("sgd", 1.0, 4, 9, 9, decay=0.5)
    assert [by_epoch.lr_at(epoch, 0) for epoch in (1, 2, 3)] == [1.0, 0.5, 0.25]
    by_batch = replace(by_epoch, decay=0.1, decay_iterations=3000)  # Guo, section 2.4
    assert [by_batch.lr_at(7, i) for i in (0, 2999, 3000, 6000)] == pytest.approx([1, 1, 0.1, 0.01])
    result = train(network(), rows(clips()), None, by_epoch, epochs=3)
    assert [row["lr"] for row in result.curve] == [1.0, 0.5, 0.25]


def test_balanced_classes_count_the_same():
    y = np.array([0] * 9 + [1] * 3)
    same_clips = Examples(tuple(map(str, range(12))), {"frames": [np.ones((1, 4), np.float32)] * 12}, CLASSES, y)
    p = {}
    for weight in ("none", "balanced"):
        net = network(dropout=0.0)
        train(net, rows(same_clips), None, Settings("adam", 0.05, 12, 1, 1, class_weight=weight), epochs=150)
        p[weight] = classification.score(net, rows(same_clips))[0, 0]
    assert p["none"] == pytest.approx(0.75, abs=0.01)
    assert p["balanced"] == pytest.approx(0.5, abs=0.01)


def test_the_callers_random_numbers_are_untouched():
    before = torch.get_rng_state()
    model = pooling_model()
    model.fit(clips(), None, epochs=1)
    model.predict(clips())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("precision, clip", [("bfloat16", None), ("float16", None), ("float16", 1.0)])
def test_mixed_precision_learns(precision, clip):
    net, settings = network(dropout=0.0), replace(FAST, precision=precision, clip=clip, max_epochs=30, patience=30)
    result = train(net, rows(clips(noise=0.1)), rows(clips(4, noise=0.1)), settings)
    assert result.metrics["accuracy"] == 1.0
    assert next(net.parameters()).dtype == torch.float32


GPU = os.environ.get("EMOFUSE_GPU", "cuda")
NEEDS_GPU = pytest.mark.skipif(GPU == "cuda" and not torch.cuda.is_available(), reason="there is no CUDA device")


@pytest.mark.gpu
@NEEDS_GPU
@pytest.mark.parametrize("precision, clip", [("auto", None), ("bfloat16", 1.0), ("float16", None), ("float16", 1.0)])
@pytest.mark.parametrize("optimiser", ["sgd", "adam", "rmsprop"])
def test_mixed_precision_learns_on_a_gpu(optimiser, precision, clip):
    lr = 0.1 if optimiser == "sgd" else 0.01
    settings = replace(FAST, optimiser=optimiser, lr=lr, precision=precision, clip=clip, max_epochs=30, patience=30)
    result = train(network(0.0).to(GPU), rows(clips(noise=0.1), GPU), rows(clips(4, noise=0.1), GPU), settings)
    assert result.metrics["accuracy"] == 1.0


@pytest.mark.gpu
@NEEDS_GPU
def test_a_gpu_agrees_with_the_cpu():
    scores = {}
    for device in ("cpu", GPU):
        context = Context(CLASSES, {"frames": (4,)}, 0, device)
        model = temporal_pooling.build({**temporal_pooling.FAMILY.published[0], "dropout": 0.0}, context)
        model.settings = replace(model.settings, precision="float32")
        model.fit(clips(), None, epochs=1)
        scores[device] = model.predict(clips())
    np.testing.assert_allclose(scores["cpu"], scores[GPU], atol=1e-4)


@pytest.mark.gpu
@NEEDS_GPU
def test_the_gpus_random_numbers_are_untouched():
    net = network(0.5).to(GPU)
    torch.manual_seed(3)
    expected = torch.rand(3, device=GPU)
    torch.manual_seed(3)
    train(net, rows(clips(), GPU), None, FAST, epochs=1)
    assert torch.equal(torch.rand(3, device=GPU), expected)
