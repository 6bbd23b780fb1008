"""Audio-map LSTM: Inception-v2 on 34x34 maps of short-term audio features, then an LSTM over maps (Guo, 2.4)."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from models.blocks.window_lstm import TwoStepModel, WindowLSTM
from models.families.inception_v2 import Inception
from models.family import Context, Family, Input, Resources
from models.space import Choice, Float, Int
from models.training.batches import Window
from models.training.settings import Settings
from models.training.torch_model import load_torch

# Maps that the network takes at a time.
_WINDOW = Window(steps=8)


def build(hyperparameters: Mapping[str, Any], context: Context) -> TwoStepModel:
    hp = hyperparameters
    first = Settings(
        "sgd",
        hp["single_lr"],
        32,
        hp["single_epochs"],
        patience=hp["single_epochs"],
        momentum=0.9,
        clip=1.0,
        weight_decay=hp["single_weight_decay"],
        decay=hp["single_decay"],
        class_weight=hp["class_weight"],
    )
    second = Settings(
        hp["optimiser"],
        hp["lr"],
        hp["batch_size"],
        FAMILY.max_epochs,
        patience=20,
        clip=1.0,
        momentum=0.9 if hp["optimiser"] == "sgd" else 0.0,
        weight_decay=hp["weight_decay"],
        decay=0.1,
        decay_iterations=3000,
        max_iterations=10_000,
        class_weight=hp["class_weight"],
    )
    shape, classes = context.shapes["maps"], len(context.classes)

    def cnn() -> Inception:
        return Inception(shape, hp["width"], classes, hp["dropout"], slot="maps")

    def network() -> WindowLSTM:
        return WindowLSTM(cnn(), "global_pool", hp["hidden"], classes, 0.0, _WINDOW)

    return TwoStepModel(FAMILY, hp, context, cnn, first, network, second)


def _point(optimiser: str) -> dict[str, Any]:
    # First step: the rates of Inception-v2 on ImageNet, as stated: 0.045, times 0.94 every two epochs, weight decay
    # 0.00004; the number of epochs is not stated. Second step: 128 units, learning rate, batch size and weight decay
    # are stated, like its schedule above; the optimiser is not.
    return {
        "width": 1.0,
        "dropout": 0.2,
        "single_epochs": 30,
        "single_lr": 0.045,
        "single_decay": 0.97,
        "single_weight_decay": 0.00004,
        "hidden": 128,
        "optimiser": optimiser,
        "lr": 0.001,
        "weight_decay": 0.002,
        "batch_size": 16,
        "class_weight": "none",
    }


FAMILY = Family(
    name="audio_map_lstm",
    paper="Guo 2019",
    section="2.4",
    summary="Inception-v2 on maps of 34 audio features x 34 windows, LSTM over 8 maps, trained end to end",
    inputs=(Input("maps", "frame", 2, "audio_maps", is_map=True),),
    space={
        "width": Choice((1.0, 0.5, 0.25, 0.125)),
        "dropout": Float(0.0, 0.7),
        "single_epochs": Int(1, 60),
        "single_lr": Float(0.001, 0.1, log=True),
        "single_decay": Float(0.85, 1.0),
        "single_weight_decay": Float(1e-6, 0.005, log=True),
        "hidden": Choice((64, 128, 256)),
        "optimiser": Choice(("adam", "sgd")),
        "lr": Float(1e-4, 0.01, log=True),
        "weight_decay": Float(1e-6, 0.01, log=True),
        "batch_size": Choice((8, 16, 32)),
        "class_weight": Choice(("none", "balanced")),
    },
    published=(_point("sgd"), _point("adam")),
    build=build,
    load=partial(load_torch, build),
    # 10,000 batches of 16 are 208 epochs of EmotiW 2017's 773 training clips.
    max_epochs=240,
    resources=Resources(cpu=1.0, gpu=0.25, memory_mb=3000),
    smoke={"width": 0.125, "single_epochs": 1},
)
