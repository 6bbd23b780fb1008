"""Audio LSTM: short-term audio features, one vector per 100 ms window, into one LSTM layer (Guo, section 2.3)."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn

from models.family import Context, Family, Input, Resources
from models.space import Choice, Float
from models.training.network import ClipNetwork, last_step, recur
from models.training.settings import Settings
from models.training.torch_model import TorchModel, load_torch


class AudioLSTM(ClipNetwork):
    """One LSTM layer and a softmax layer on its last state; clips under 16 windows repeat the last one."""

    min_steps = 16

    def __init__(self, features: int, hidden: int, classes: int, dropout: float):
        super().__init__({"audio": (features,)})
        self.lstm = nn.LSTM(features, hidden, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, classes)
        # Stated for the paper's video LSTM (section 2.1); nothing is said of this one.
        for name, parameter in self.lstm.named_parameters():
            if name.startswith("weight"):
                nn.init.uniform_(parameter, -0.01, 0.01)
            else:
                nn.init.zeros_(parameter)

    def encode(self, inputs: Mapping[str, Tensor], lengths: Mapping[str, Tensor]) -> Tensor:
        h = recur(self.lstm, inputs["audio"])  # (B, T, F) -> (B, T, H)
        return self.dropout(last_step(h, lengths["audio"]))  # (B, H)


def build(hyperparameters: Mapping[str, Any], context: Context) -> TorchModel:
    hp = hyperparameters
    (features,) = context.shapes["audio"]
    settings = Settings(
        "adam",
        hp["lr"],
        hp["batch_size"],
        FAMILY.max_epochs,
        patience=10,
        weight_decay=hp["weight_decay"],
        clip=1.0,
        decay=0.1,
        decay_iterations=3000,
        class_weight=hp["class_weight"],
    )
    return TorchModel(
        FAMILY, hp, context, lambda: AudioLSTM(features, hp["hidden"], len(context.classes), hp["dropout"]), settings
    )


FAMILY = Family(
    name="audio_lstm",
    paper="Guo 2019",
    section="2.3",
    summary="LSTM over 34 short-term audio features per 100 ms window; softmax on the last state",
    inputs=(Input("audio", "frame", 1, "short_term"),),
    space={
        "hidden": Choice((64, 128, 256, 512)),
        "lr": Float(2e-4, 0.01, log=True),
        "weight_decay": Float(1e-6, 0.01, log=True),
        "dropout": Float(0.0, 0.6),
        "batch_size": Choice((16, 32, 64)),
        "class_weight": Choice(("none", "balanced")),
    },
    # Stated for this network: 34 features, at least 16 steps, 512 units. Learning rate, its schedule, batch size and
    # weight decay are those of the paper's other audio network (section 2.4). No optimiser is named: Adam.
    published=(
        {"hidden": 512, "lr": 0.001, "weight_decay": 0.002, "dropout": 0.0, "batch_size": 16, "class_weight": "none"},
    ),
    build=build,
    load=partial(load_torch, build),
    max_epochs=100,
    resources=Resources(cpu=1.0, gpu=0.25, memory_mb=1000),
    smoke={"hidden": 64},
)
