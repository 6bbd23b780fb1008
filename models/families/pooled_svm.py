"""Pooled SVM: the maximum or mean of the raw features over time, then a linear SVM (Chao 2016, section 4.1).

The baselines "max-pooling" and "mean pooling" of table 1, with the paper's one-against-the-rest SVM behind them. The
table's own topology, 2048/64/7, is the network `temporal_pooling` with `pool_at` "input".
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from models.examples import Examples
from models.family import Context, Family, Input, Resources
from models.sklearn_model import SklearnModel, load_sklearn
from models.space import Choice, Float
from models.svm import svm_pipeline


def vectorise(examples: Examples, pool: str) -> np.ndarray:
    """Each clip's maximum or mean over its steps (N, F) float64."""
    if pool == "max":
        return np.stack([frames.max(axis=0).astype(np.float64) for frames in examples.inputs["frames"]])
    return np.stack([frames.mean(axis=0, dtype=np.float64) for frames in examples.inputs["frames"]])


def build(hyperparameters: Mapping[str, Any], context: Context) -> SklearnModel:
    hp = hyperparameters
    pipeline = svm_pipeline(
        context.shapes["frames"][0], kernel="linear", C=hp["C"], class_weight=hp["class_weight"], seed=context.seed
    )
    return SklearnModel(FAMILY, hp, context, pipeline, partial(vectorise, pool=hp["pool"]))


def _point(pool: str) -> dict[str, Any]:
    # C was found by grid search and isn't stated; this one is good for linear SVMs on acted speech (audio_svm).
    return {"pool": pool, "C": 0.5, "class_weight": "none"}


FAMILY = Family(
    name="pooled_svm",
    paper="Chao 2016",
    section="4.1",
    summary="maximum or mean of the raw features over time, linear SVM",
    inputs=(Input("frames", "frame", 1, "face_cnn.conv3"),),
    space={
        "pool": Choice(("max", "mean")),
        "C": Float(0.03, 30.0, log=True),
        "class_weight": Choice(("none", "balanced")),
    },
    # Table 1: mean pooling, then max pooling.
    published=(_point("mean"), _point("max")),
    build=build,
    load=partial(load_sklearn, build),
    resources=Resources(cpu=1.0, memory_mb=800, stall_s=14400.0),
)
