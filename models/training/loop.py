"""The one training loop of all torch families. Its aim (`models.training.goals`) is classification unless told."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from features.errors import Diverged, EmofuseError
from models.family import FitResult, Report
from models.metrics import Metric
from models.pulse import Stopped, asked_to_stop
from models.reproducible import seeded
from models.training.batches import Packed, epoch_batches
from models.training.checkpoint import Checkpoint
from models.training.classification import Classification
from models.training.goals import Goal
from models.training.network import ClipNetwork
from models.training.settings import Settings


def train(
    network: ClipNetwork,
    fit: Packed,
    held_out: Packed | None,
    settings: Settings,
    *,
    goal: Goal | None = None,
    metric: Metric = "accuracy",
    seed: int = 0,
    epochs: int | None = None,
    max_epochs: int | None = None,
    report: Report | None = None,
    resume: Path | None = None,
    identity: str = "",
    keep_checkpoint: bool = False,
) -> FitResult:
    """Train `network` in place and leave it with the weights of the best epoch.

    Best is the epoch that `goal` ranks highest; of a classification, which it is by default, the one of the best
    held-out `metric`, among equals of lowest log loss. With `epochs` it trains for exactly that many and keeps the
    last. `keep_checkpoint` writes a last checkpoint at the end, for a training that goes on from this one. Raises
    Diverged when the loss or a weight is no longer finite.
    """
    if epochs is None and held_out is None:
        raise EmofuseError("Training expects held-out clips to stop on, or a number of epochs, but got neither.")
    last = last_epoch(settings, epochs, max_epochs)
    if last < 1:
        raise EmofuseError(f"Training expects at least one epoch, but got {last}.")
    checkpoint = Checkpoint(resume, identity, settings.checkpoint_every_s)
    with seeded(seed, fit.device):
        run = _Run(network, fit, held_out, settings, seed, goal, metric)
        if state := checkpoint.load():
            run.restore(state)
        while run.epoch < last and (epochs is not None or run.promising):
            if asked_to_stop():
                checkpoint.save(run.state, now=run.epoch > 0)
                raise Stopped
            metrics = run.one_epoch(keep_last=epochs is not None)
            checkpoint.save(run.state, now=keep_checkpoint and run.epoch == last)
            if report is not None:
                report(run.epoch, metrics)
        network.load_state_dict(run.best)
    return FitResult(run.epoch, run.best_epoch, run.best_metrics, tuple(run.curve))


def last_epoch(settings: Settings, epochs: int | None, max_epochs: int | None) -> int:
    """The epoch that training doesn't go beyond."""
    return epochs if epochs is not None else min(settings.max_epochs, max_epochs or settings.max_epochs)


class _Run:
    """All that changes while training, so that it can be written down and taken up again after any epoch."""

    def __init__(
        self,
        network: ClipNetwork,
        fit: Packed,
        held_out: Packed | None,
        settings: Settings,
        seed: int,
        goal: Goal | None,
        metric: Metric,
    ):
        self.network, self.settings, self.device = network, settings, fit.device
        self.fit = network.examples(fit)
        self.measured = held_out is not None
        self.goal = goal or Classification(network.head.out_features, self.fit, held_out, settings, metric)
        self.optimiser = _optimiser(network, settings)
        self.type = settings.autocast_type(fit.device)
        self.scaler = torch.amp.GradScaler(fit.device.type, enabled=self.type == torch.float16)
        self.order = torch.Generator().manual_seed(seed)
        self.epoch = self.iteration = self.best_epoch = 0
        self.best: dict[str, Tensor] = {}
        self.best_metrics: dict[str, float] = {}
        self.curve: list[dict[str, float]] = []

    @property
    def promising(self) -> bool:
        """Whether early stopping and the limit of iterations let another epoch begin."""
        most = self.settings.max_iterations
        return self.epoch - self.best_epoch < self.settings.patience and (most is None or self.iteration < most)

    def one_epoch(self, keep_last: bool) -> dict[str, float]:
        """Train over all fit clips once, measure, keep the weights if they are the best; return the epoch's metrics."""
        self.epoch += 1
        loss, lr, fitted = self._steps()
        metrics: dict[str, float] = {}
        if self.measured:
            found = self.goal.measure(self.network)
            metrics, loss = (found, loss) if found is not None else ({}, float("nan"))
        if not np.isfinite(loss) or not self._finite_weights():
            raise Diverged(
                f"Training diverged in epoch {self.epoch} at learning rate {lr:g} (loss {loss:g}); "
                "expected finite numbers: lower the learning rate or the gradient clipping."
            )
        if keep_last or not self.best or self.goal.rank(metrics) > self.goal.rank(self.best_metrics):
            self.best_epoch, self.best_metrics = self.epoch, metrics
            weights = self.network.state_dict()
            self.best = weights if keep_last else {name: value.clone() for name, value in weights.items()}
        metrics = {"loss": loss, "lr": lr, **fitted, **metrics}
        self.curve.append({"epoch": self.epoch, **metrics})
        return metrics

    def _steps(self) -> tuple[float, float, dict[str, float]]:
        """One optimiser step per batch; the mean loss, the last learning rate, and the accuracy as `fit_accuracy`.

        The latter is that of each batch before its step, with dropout and augmentation: training accuracy as it is
        usually drawn.
        """
        network, settings = self.network.train(), self.settings
        parameters = [p for group in self.optimiser.param_groups for p in group["params"]]
        total, hits = torch.zeros((), device=self.device), torch.zeros((), device=self.device)
        right: Tensor | None = None
        lr = settings.lr
        for clips in epoch_batches(self.fit, settings.batch_size, self.order):
            lr = settings.lr_at(self.epoch, self.iteration)
            for group in self.optimiser.param_groups:
                group["lr"] = lr * group.get("lr_factor", 1.0)
            inputs, lengths = self.fit.batch(clips, network.min_steps)
            with torch.autocast(self.device.type, self.type, enabled=self.type != torch.float32):
                outputs = self.goal.outputs(network, inputs, lengths)
            loss = self.goal.loss(outputs.float(), clips)
            penalty = network.penalty()
            if penalty is not None:
                loss = loss + penalty
            if settings.l1:
                loss = loss + settings.l1 * sum(p.abs().sum() for p in parameters)
            self.optimiser.zero_grad(set_to_none=True)
            self.scaler.scale(loss).backward()
            if settings.clip is not None:
                self.scaler.unscale_(self.optimiser)
                torch.nn.utils.clip_grad_norm_(parameters, settings.clip)
            self.scaler.step(self.optimiser)
            self.scaler.update()
            total += loss.detach() * len(clips)
            right = self.goal.right(outputs.detach(), clips)
            hits += 0 if right is None else right
            self.iteration += 1
        fitted = {} if right is None else {"fit_accuracy": float(hits) / len(self.fit)}
        return float(total) / len(self.fit), lr, fitted

    def _finite_weights(self) -> bool:
        return bool(torch.nn.utils.get_total_norm(self.network.parameters()).isfinite())

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the training depends on."""
        cuda = torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None
        return {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "order": self.order.get_state(),
            "random": torch.get_rng_state(),
            "cuda_random": cuda,
            "epoch": self.epoch,
            "iteration": self.iteration,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "best_metrics": self.best_metrics,
            "curve": self.curve,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` wrote down."""
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        self.order.set_state(state["order"])
        torch.set_rng_state(state["random"])
        if state["cuda_random"] is not None and self.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda_random"], self.device)
        for name in ("epoch", "iteration", "best", "best_epoch", "best_metrics", "curve"):
            setattr(self, name, state[name])


def _optimiser(network: ClipNetwork, settings: Settings) -> torch.optim.Optimizer:
    groups = network.parameter_groups(settings.weight_decay)
    # Fused: one call for all parameters, which is most of a small network's time per batch.
    if settings.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=settings.lr, momentum=settings.momentum, fused=True)
    if settings.optimiser == "adam":
        return torch.optim.Adam(groups, lr=settings.lr, fused=True)
    return torch.optim.RMSprop(groups, lr=settings.lr, momentum=settings.momentum, foreach=True)
