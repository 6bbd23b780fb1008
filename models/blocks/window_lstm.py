"""A CNN on every step, an LSTM over windows of steps, trained in two steps and end to end (Guo 2019, 2.1, 2.4)."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from models.blocks.stills import StagedNetwork
from models.examples import Examples
from models.family import Context, Family, FitResult, Report
from models.training import loop as training
from models.training.batches import Packed, Window
from models.training.network import ClipNetwork, recur, valid_steps
from models.training.pretrained import Naming, start_from
from models.training.settings import Settings
from models.training.torch_model import TorchModel


class WindowLSTM(StagedNetwork):
    """The stages of `cnn` up to `layer` on every step of a window, one LSTM layer, softmax on its last state.

    LSTM and softmax layer learn `new_lr` times as fast as the CNN. LSTM weights start in U(-0.01, 0.01), biases at 0.
    """

    step_by_step = False

    def __init__(
        self,
        cnn: StagedNetwork,
        layer: str,
        hidden: int,
        classes: int,
        dropout: float,
        window: Window,
        new_lr: float = 1.0,
    ):
        super().__init__(cnn.shape, cnn.slot)
        self.cut_into: Window = window
        self.new_lr = new_lr
        for name, stage in cnn.stages.items():
            self.stages[name] = stage
            if name == layer:
                break
        self.lstm = nn.LSTM(cnn.head.in_features, hidden, batch_first=True)
        for name, parameter in self.lstm.named_parameters():
            if name.startswith("weight"):
                nn.init.uniform_(parameter, -0.01, 0.01)
            else:
                nn.init.zeros_(parameter)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, classes)

    def encode(self, inputs: Mapping[str, Tensor], lengths: Mapping[str, Tensor]) -> Tensor:
        images, length = inputs[self.slot], lengths[self.slot]  # (B, T, H, W[, 3])
        rows = self.frames(images[valid_steps(length, images.shape[1])])  # (sum of lengths, D)
        steps = torch.arange(self.cut_into.steps, device=length.device)
        # The CNN sees a step once; its output is what is repeated up to the window's length.
        x = rows[(length.cumsum(0) - length)[:, None] + torch.minimum(steps, length[:, None] - 1)]  # (B, W, D)
        h = recur(self.lstm, x)  # (B, W, hidden)
        return self.dropout(h[:, -1])  # (B, hidden)

    def forward(self, inputs: Mapping[str, Tensor], lengths: Mapping[str, Tensor]) -> Tensor:
        return self.head(self.encode(inputs, lengths))  # (B, C)

    def begin_with(self, cnn: StagedNetwork) -> None:
        """Take the parameters of `cnn`'s stages, and the means and deviations of its inputs."""
        own, theirs = self.state_dict(), cnn.state_dict()
        self.load_state_dict({name: own[name] if name.startswith(("lstm.", "head.")) else theirs[name] for name in own})

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """The new layers are a group of their own, with their own learning rate."""
        new = [*self.lstm.parameters(), *self.head.parameters()]
        return [
            {"params": list(self.stages.parameters()), "weight_decay": weight_decay},
            {"params": new, "weight_decay": weight_decay, "lr_factor": self.new_lr},
        ]


class TwoStepModel(TorchModel):
    """First the CNN, with a softmax layer, on every step as an example of its own; then the LSTM in place of what
    followed the CNN's `layer`, on windows, end to end.

    The first step takes `single_epochs` epochs and keeps the last: as many in a refit. Epochs are counted over both,
    and the second takes one at least. Given weights, the CNN starts from them; it knows `namings`.
    """

    def __init__(
        self,
        family: Family,
        hyperparameters: Mapping[str, Any],
        context: Context,
        make_cnn: Callable[[], StagedNetwork],
        first: Settings,
        make: Callable[[], WindowLSTM],
        second: Settings,
        namings: tuple[Naming, ...] = (),
    ):
        super().__init__(family, hyperparameters, context, make, second)
        self._make_cnn, self._first, self._namings = make_cnn, first, namings

    def fit(
        self,
        train: Examples,
        held_out: Examples | None,
        *,
        epochs: int | None = None,
        max_epochs: int | None = None,
        report: Report | None = None,
        resume: Path | None = None,
    ) -> FitResult:
        """See `models.family.Model.fit`."""
        rows = self._rows(train, held_out)
        cnn, network = self._build(self._make_cnn), self._build()
        self._network = network
        self._prepare(cnn, *rows)
        last = training.last_epoch(self.settings, epochs, max_epochs)
        single = max(0, min(self.hyperparameters["single_epochs"], last - 1))
        identity = self._identity(train, held_out)
        first = FitResult(0, 0, {})
        if single:
            first = training.train(
                cnn,
                *rows,
                self._first,
                seed=self.context.seed,
                epochs=single,
                report=report,
                resume=resume and resume / "single",
                identity=f"{identity} single {single}",
                keep_checkpoint=True,
            )
        cast(WindowLSTM, network).begin_with(cast(StagedNetwork, cnn))
        del cnn
        second = training.train(
            network,
            *rows,
            replace(self.settings, max_epochs=last - single),
            metric=self.context.metric,
            seed=self.context.seed,
            epochs=None if epochs is None else epochs - single,
            report=report and _later(report, single),
            resume=resume and resume / "windows",
            identity=f"{identity} windows after {single}",
        )
        curve = tuple({**row, "epoch": row["epoch"] + single} for row in second.curve)
        return FitResult(single + second.epochs, single + second.best_epoch, second.metrics, (*first.curve, *curve))

    def _start(self, network: ClipNetwork, fit_rows: Packed) -> None:
        if self.context.weights is None:
            super()._start(network, fit_rows)
        else:
            start_from(network, self.context.weights, self._namings)


def _later(report: Report, epochs: int) -> Report:
    return lambda epoch, metrics: report(epoch + epochs, metrics)
