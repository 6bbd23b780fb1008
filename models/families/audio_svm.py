"""A support vector machine on one vector of speech features per clip (Kahou 2015, section 3; Guo, section 2.3)."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from models.examples import Examples
from models.family import Context, Family, Input, Resources
from models.sklearn_model import SklearnModel, load_sklearn
from models.space import Choice, Float
from models.svm import svm_pipeline


def vectorise(examples: Examples) -> np.ndarray:
    """The clips' vectors (N, F)."""
    return np.stack([np.asarray(array, np.float64) for array in examples.inputs["audio"]])


def build(hyperparameters: Mapping[str, Any], context: Context) -> SklearnModel:
    pipeline = svm_pipeline(context.shapes["audio"][0], seed=context.seed, **hyperparameters)
    return SklearnModel(FAMILY, hyperparameters, context, pipeline, vectorise)


FAMILY = Family(
    name="audio_svm",
    paper="Kahou 2015; Guo",
    section="3; 2.2",
    summary="standardised speech features, optional PCA, linear or RBF SVM",
    inputs=(Input("audio", "clip", 1, "is10"),),
    space={
        "kernel": Choice(("linear", "rbf")),
        "C": Float(0.3, 30.0, log=True),
        "gamma": Float(0.05, 2.0, log=True),
        "pca": Choice((0.9, 0.98, 1.0)),
        "class_weight": Choice(("none", "balanced")),
    },
    # Kahou: PCA and an RBF kernel; Guo: neither is mentioned, so linear. C, gamma and the number of components aren't
    # stated (grid search); these are good on acted speech.
    published=(
        {"kernel": "rbf", "C": 10.0, "gamma": 0.5, "pca": 0.98, "class_weight": "none"},
        {"kernel": "linear", "C": 0.5, "gamma": 0.5, "pca": 1.0, "class_weight": "none"},
    ),
    build=build,
    load=partial(load_sklearn, build),
    resources=Resources(cpu=1.0, memory_mb=800, stall_s=14400.0),
)
