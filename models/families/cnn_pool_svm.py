"""Aggregated CNN: per-frame outputs averaged into 15 bins, then an RBF SVM (Kahou 2015, section 2.3)."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from models.examples import Examples
from models.family import Context, Family, Input, Resources
from models.sklearn_model import SklearnModel, load_sklearn
from models.space import Choice, Float
from models.svm import svm_pipeline

BINS = 15


def bin_means(frames: np.ndarray, k: int) -> np.ndarray:
    """The means of `frames` (T, F) over `k` consecutive bins, bin after bin, (k * F,) float64.

    Bin i starts at frame floor(i T / k). Where T < k, frames are repeated in place until there are k.
    """
    edges = np.arange(k + 1) * len(frames) // k
    lengths = np.maximum(np.diff(edges), 1)
    # reduceat takes the single frame where a bin's start isn't below the next one's: the repetition.
    return (np.add.reduceat(frames, edges[:-1], axis=0, dtype=np.float64) / lengths[:, None]).ravel()


def vectorise(examples: Examples) -> np.ndarray:
    """The clips' binned frames (N, 15 F)."""
    return np.stack([bin_means(frames, BINS) for frames in examples.inputs["frames"]])


def build(hyperparameters: Mapping[str, Any], context: Context) -> SklearnModel:
    pipeline = svm_pipeline(BINS * context.shapes["frames"][0], kernel="rbf", seed=context.seed, **hyperparameters)
    return SklearnModel(FAMILY, hyperparameters, context, pipeline, vectorise)


FAMILY = Family(
    name="cnn_pool_svm",
    paper="Kahou 2015",
    section="2.3",
    summary="pre-softmax outputs per frame averaged into 15 bins, RBF SVM",
    inputs=(Input("frames", "frame", 1, "face_cnn.logits"),),
    space={
        "C": Float(0.3, 30.0, log=True),
        "gamma": Float(0.03, 1.0, log=True),
        "class_weight": Choice(("none", "balanced")),
    },
    # C and gamma aren't stated (grid search); these are good on a real CNN's outputs for AFEW 2013.
    published=({"C": 3.0, "gamma": 0.25, "class_weight": "none"},),
    build=build,
    load=partial(load_sklearn, build),
    resources=Resources(cpu=1.0, memory_mb=600, stall_s=14400.0),
)
