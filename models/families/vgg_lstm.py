"""VGG-LSTM: VGG-16 on a clip's faces, then an LSTM over every 8th of them in place of what follows fc6 (Guo, 2.1)."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from models.blocks.window_lstm import TwoStepModel, WindowLSTM
from models.families.vgg16 import NAMINGS, VGG16
from models.family import Context, Family, Input, Resources
from models.space import Choice, Float, Int
from models.training.batches import Window
from models.training.settings import Settings
from models.training.torch_model import load_torch

# Faces that the network takes at a time.
_STEPS = 16


def build(hyperparameters: Mapping[str, Any], context: Context) -> TwoStepModel:
    hp = hyperparameters
    first = Settings(
        "sgd",
        hp["single_lr"],
        hp["single_batch_size"],
        hp["single_epochs"],
        patience=hp["single_epochs"],
        momentum=0.9,
        clip=1.0,
        weight_decay=hp["weight_decay"],
        class_weight=hp["class_weight"],
    )
    second = Settings(
        "sgd",
        hp["lr"],
        hp["batch_size"],
        FAMILY.max_epochs,
        patience=20,
        momentum=0.9,
        clip=1.0,
        weight_decay=hp["weight_decay"],
        decay=0.1,
        decay_iterations=3000,
        max_iterations=10_000,
        class_weight=hp["class_weight"],
    )
    shape, classes = context.shapes["faces"], len(context.classes)

    def cnn() -> VGG16:
        return VGG16(shape, hp["width"], classes, hp["dropout"], hp["batch_norm"], hp["head_lr"])

    def network() -> WindowLSTM:
        return WindowLSTM(cnn(), "fc6", hp["hidden"], classes, 0.0, Window(_STEPS, hp["gap"]), hp["head_lr"])

    return TwoStepModel(FAMILY, hp, context, cnn, first, network, second, NAMINGS)


FAMILY = Family(
    name="vgg_lstm",
    paper="Guo 2019",
    section="2.1",
    summary="VGG-16 fine-tuned on the clips' faces, LSTM over 16 of them, every 8th, trained end to end",
    inputs=(Input("faces", "frame", 3, "faces:colour=true,size=224"),),
    space={
        "width": Choice((1.0, 0.5, 0.25)),
        "dropout": Float(0.0, 0.7),
        "batch_norm": Choice((False, True)),
        "head_lr": Choice((1.0, 10.0)),
        "single_epochs": Int(1, 30),
        "single_lr": Float(0.0001, 0.05, log=True),
        "single_batch_size": Choice((16, 32, 64)),
        "gap": Choice((8, 4, 2, 1)),
        "hidden": Choice((64, 128, 256)),
        "lr": Float(0.0001, 0.05, log=True),
        "weight_decay": Float(1e-6, 0.005, log=True),
        "batch_size": Choice((8, 16, 32)),
        "class_weight": Choice(("none", "balanced")),
    },
    # Stated: 16 faces, every 8th, 128 units, the tenfold rate of the layers that begin anew and their starting values.
    # The learning rate is not; that of the sequences, its schedule, batch size and limit of batches are those of the
    # paper's other network of this kind (section 2.4). Weight decay and dropout are VGG-16's own.
    published=(
        {
            "width": 1.0,
            "dropout": 0.5,
            "batch_norm": False,
            "head_lr": 10.0,
            "single_epochs": 10,
            "single_lr": 0.001,
            "single_batch_size": 32,
            "gap": 8,
            "hidden": 128,
            "lr": 0.001,
            "weight_decay": 0.0005,
            "batch_size": 16,
            "class_weight": "none",
        },
    ),
    build=build,
    load=partial(load_torch, build),
    # 10,000 batches of 16 windows are 207 epochs of AFEW's 773 training clips, if each gives one window.
    max_epochs=220,
    weights=True,
    resources=Resources(cpu=1.0, gpu=1.0, memory_mb=16000),
    smoke={"width": 0.25, "single_epochs": 1},
)
