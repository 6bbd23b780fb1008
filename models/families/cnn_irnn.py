"""CNN-IRNN: a face CNN's features, frame by frame, into a recurrent network of rectified units (Kahou 2015)."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn

from models.blocks.relu_rnn import ReLURNN
from models.family import Context, Family, Input, Resources
from models.space import Choice, Float
from models.training.network import ClipNetwork, last_step
from models.training.settings import Settings
from models.training.torch_model import TorchModel, load_torch

# All weights but the recurrent ones start this small (Le, Jaitly and Hinton 2015, whom section 2.2 cites).
_STD = 0.001


class IRNN(ClipNetwork):
    """Section 2.2: h_t = relu(W_in x_t + W_rec h_{t-1}), where W_rec starts as `scale` times the identity."""

    def __init__(self, features: int, hidden: int, classes: int, scale: float):
        super().__init__({"frames": (features,)})
        self.rnn = ReLURNN(features, hidden)
        self.head = nn.Linear(hidden, classes)
        for name, parameter in self.named_parameters():
            if "bias" in name:
                nn.init.zeros_(parameter)
            elif name == "rnn.weight_hh_l0":
                nn.init.eye_(parameter).data.mul_(scale)
            else:
                nn.init.normal_(parameter, std=_STD)

    def encode(self, inputs: Mapping[str, Tensor], lengths: Mapping[str, Tensor]) -> Tensor:
        h = self.rnn(inputs["frames"])  # (B, T, F) -> (B, T, H)
        return last_step(h, lengths["frames"])  # (B, H)


def build(hyperparameters: Mapping[str, Any], context: Context) -> TorchModel:
    hp = hyperparameters
    (features,) = context.shapes["frames"]
    settings = Settings(
        "sgd",
        hp["lr"],
        hp["batch_size"],
        FAMILY.max_epochs,
        patience=20,
        momentum=hp["momentum"],
        clip=hp["clip"],
        class_weight=hp["class_weight"],
    )
    return TorchModel(
        FAMILY, hp, context, lambda: IRNN(features, hp["hidden"], len(context.classes), hp["scale"]), settings
    )


FAMILY = Family(
    name="cnn_irnn",
    paper="Kahou 2015",
    section="2.2",
    summary="ReLU RNN started at the identity over per-frame CNN features; softmax on the last frame",
    inputs=(Input("frames", "frame", 1, "face_cnn.conv2"),),
    space={
        "hidden": Choice((50, 100, 200, 400)),
        "scale": Float(0.01, 1.0, log=True),
        "lr": Float(5e-4, 0.05, log=True),
        "momentum": Choice((0.0, 0.9)),
        "clip": Float(0.1, 10.0, log=True),
        "batch_size": Choice((16, 32, 64)),
        "class_weight": Choice(("none", "balanced")),
    },
    # "Scaled variations of the identity": the scale is not stated; 1 is that of the paper it cites.
    published=(
        {
            "hidden": 200,
            "scale": 1.0,
            "lr": 0.005,
            "momentum": 0.0,
            "clip": 1.0,
            "batch_size": 64,
            "class_weight": "none",
        },
    ),
    build=build,
    load=partial(load_torch, build),
    max_epochs=200,
    resources=Resources(cpu=1.0, gpu=0.25, memory_mb=2000),
    smoke={"hidden": 50},
)
