"""Activity: words of motion, learnt by a synchrony autoencoder and k-means, and an SVM (Kahou 2015, section 4).

The paper names the steps and the size of the blocks; the rest follows the group's own EmotiW code: its whitening, 300
units, 3000 words, a vote weighted by the block's activity, and the chi-square kernel with C = 100.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from safetensors.numpy import save
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import PCA
from sklearn.metrics import pairwise_distances_argmin
from sklearn.pipeline import Pipeline

from features.errors import EmofuseError
from features.files import write_bytes
from features.tables.readable import Readable
from models.blocks.synchrony import train_synchrony
from models.description import Description, blaming
from models.examples import Examples
from models.family import Context, Family, FitResult, Input, Report, Resources
from models.sklearn_model import SklearnModel, load_sklearn
from models.space import Choice, Float, Int
from models.svm import Chi2SVM
from models.weights import read_arrays

_WORDS = "words.safetensors"
# Whitening, filters and words are learnt on at most so many of the fit clips' blocks; with 2560 numbers a block they
# take 800 MB as float64.
SAMPLE = 40_000
# A word needs this many of them: where there are fewer than 30,000 blocks, there are fewer than 3000 words.
BLOCKS_PER_WORD = 10
_CHUNK = 4096
# Added to a block's deviation; grey values run to 255.
_FLAT = 0.001


def normalise(blocks: np.ndarray, mean_deviation: np.ndarray) -> np.ndarray:
    """Blocks (T, F) less their own mean, divided by their own plus the average deviation, float32."""
    rows = blocks.astype(np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    rows /= rows.std(axis=1, keepdims=True) + mean_deviation + np.float32(_FLAT)
    return rows


@dataclass(frozen=True)
class MotionWords:
    """What is learnt without labels: the whitening of a block, the filters, and the words; float32.

    `mean_deviation` (1,) is the average of the training blocks' deviations, `mean` and `deviation` (F,) those of each
    number over normalised blocks, `filters` (F, H) the PCA whitening times the autoencoder's filters, `words` (W, H).
    """

    mean_deviation: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    filters: np.ndarray
    words: np.ndarray

    def activity(self, blocks: np.ndarray) -> np.ndarray:
        """(h - 0.5) / 0.5 (T, H) float32 of the units for blocks (T, F): 0 at rest, at most 1."""
        f = (normalise(blocks, self.mean_deviation) - self.mean) / self.deviation @ self.filters
        # 2 sigmoid(z) - 1 = tanh(z / 2), without the loss of digits for small z.
        return np.tanh(f * f / 2)

    def histogram(self, blocks: np.ndarray) -> np.ndarray:
        """The share (W,) float64 of each word in a clip's blocks (T, F); all 0 for a clip that is wholly at rest.

        A block votes for its nearest word, with its mean activity as the weight.
        """
        votes = np.zeros(len(self.words))
        for start in range(0, len(blocks), _CHUNK):
            activity = self.activity(blocks[start : start + _CHUNK])
            nearest = pairwise_distances_argmin(activity, self.words)
            votes += np.bincount(nearest, activity.mean(axis=1, dtype=np.float64), len(votes))
        return votes / (votes.sum() or 1.0)


def sample_blocks(clips: Sequence[np.ndarray], most: int, seed: int) -> np.ndarray:
    """At most `most` of all clips' blocks (T_n, F), each as likely as any other, in their order, in one array."""
    ends = np.cumsum([len(blocks) for blocks in clips])
    chosen = np.arange(ends[-1])
    if len(chosen) > most:
        chosen = np.sort(np.random.default_rng(seed).choice(ends[-1], most, replace=False))
    own = np.split(chosen, np.searchsorted(chosen, ends[:-1]))
    starts = ends - [len(blocks) for blocks in clips]
    return np.concatenate([blocks[rows - start] for blocks, rows, start in zip(clips, own, starts, strict=True)])


def whiten(rows: np.ndarray, variance: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mean (F,), deviation (F,) and PCA whitening (F, K) of normalised blocks `rows` (N, F).

    The K components hold the share `variance`; a row's is (row - mean) / deviation @ whitening.
    """
    rows = rows.astype(np.float64)
    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    if not deviation.any():
        raise EmofuseError(
            "activity_svm expects blocks that differ, but those of all training clips are alike; "
            "extract motion_blocks from videos in which something moves."
        )
    deviation[deviation == 0] = 1.0
    rows -= mean
    rows /= deviation
    pca = PCA(variance, svd_solver="covariance_eigh").fit(rows)
    return mean, deviation, pca.components_.T / np.sqrt(pca.explained_variance_)


def learn_words(clips: Sequence[np.ndarray], hyperparameters: Mapping[str, Any], context: Context) -> MotionWords:
    """Whitening, filters and words of a sample of the clips' blocks; labels play no part."""
    hp = hyperparameters
    blocks = sample_blocks(clips, SAMPLE, context.seed)
    mean_deviation = blocks.std(axis=1, dtype=np.float32).mean(keepdims=True)
    rows = normalise(blocks, mean_deviation)
    mean, deviation, whitening = whiten(rows, hp["variance"])
    whitened = ((rows - mean) / deviation @ whitening).astype(np.float32)
    autoencoder, _ = train_synchrony(
        torch.from_numpy(whitened).to(context.device),
        units=hp["units"],
        weight=hp["contraction"],
        lr=hp["lr"],
        epochs=hp["sae_epochs"],
        seed=context.seed,
    )
    filters = whitening @ autoencoder.W.detach().cpu().numpy()
    mean, deviation, filters = (array.astype(np.float32) for array in (mean, deviation, filters))
    motion = MotionWords(mean_deviation, mean, deviation, filters, words=filters[:0])
    number = max(2, min(hp["words"], len(blocks) // BLOCKS_PER_WORD))
    kmeans = MiniBatchKMeans(number, n_init=1, random_state=context.seed).fit(motion.activity(blocks))
    return replace(motion, words=kmeans.cluster_centers_.astype(np.float32))


class ActivitySVM(SklearnModel):
    """Learns `MotionWords` from the fit clips, and a chi-square SVM on their histograms; see `SklearnModel`."""

    def __init__(self, hyperparameters: Mapping[str, Any], context: Context):
        hp = hyperparameters
        weight = None if hp["class_weight"] == "none" else hp["class_weight"]
        machine = Chi2SVM(C=hp["C"], gamma=hp["gamma"], class_weight=weight)
        super().__init__(FAMILY, hp, context, Pipeline([("svm", machine)]), self._histograms)
        self._words: MotionWords | None = None

    @property
    def words(self) -> MotionWords:
        """What was learnt without labels."""
        if self._words is None:
            raise EmofuseError(f"This {self.family.name} model is not fitted yet: fit or load it first.")
        return self._words

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
        """See `models.family.Model.fit`; one epoch, whatever the autoencoder's own number."""
        self._check(train)
        self._words = learn_words(train.inputs["blocks"], self.hyperparameters, self.context)
        return super().fit(train, held_out, epochs=epochs, max_epochs=max_epochs, report=report, resume=resume)

    def encode(self, examples: Examples) -> np.ndarray:
        """The histograms (N, W) float32."""
        return self._rows(examples).astype(np.float32)

    def save(self, folder: Path) -> None:
        """Write `words.safetensors` besides what `SklearnModel` writes."""
        write_bytes(folder / _WORDS, save({name: np.ascontiguousarray(a) for name, a in vars(self.words).items()}))
        super().save(folder)

    def restore(self, folder: Readable, description: Description) -> Self:
        """Take the pipeline in `folder` and the words beside it."""
        file, what = folder / _WORDS, f"the words of a saved {self.family.name} model"
        with blaming(file, what):
            self._words = MotionWords(**read_arrays(file, what))
        return super().restore(folder, description)

    def _histograms(self, examples: Examples) -> np.ndarray:
        return np.stack([self.words.histogram(np.asarray(blocks)) for blocks in examples.inputs["blocks"]])


FAMILY = Family(
    name="activity_svm",
    paper="Kahou 2015",
    section="4",
    summary="synchrony autoencoder on blocks of motion, k-means words, chi-square SVM on their histogram",
    inputs=(Input("blocks", "frame", 1, "motion_blocks"),),
    space={
        "variance": Choice((0.9, 0.99, 0.99999)),
        "units": Choice((100, 300)),
        "contraction": Float(0.01, 10.0, log=True),
        "lr": Float(1e-4, 1e-2, log=True),
        "sae_epochs": Int(2, 30, log=True),
        "words": Int(100, 3000, log=True),
        "C": Float(1.0, 1000.0, log=True),
        "gamma": Float(0.1, 10.0, log=True),
        "class_weight": Choice(("none", "balanced")),
    },
    # The weight of the contraction, the learning rate, the epochs and gamma aren't stated anywhere. Words become fewer
    # where the fit clips have fewer than ten blocks for each.
    published=(
        {
            "variance": 0.99999,
            "units": 300,
            "contraction": 0.5,
            "lr": 1e-3,
            "sae_epochs": 10,
            "words": 3000,
            "C": 100.0,
            "gamma": 1.0,
            "class_weight": "none",
        },
    ),
    build=ActivitySVM,
    load=partial(load_sklearn, ActivitySVM),
    resources=Resources(cpu=1.0, gpu=0.25, memory_mb=4000, stall_s=14400.0),
    smoke={"variance": 0.9, "units": 100, "sae_epochs": 2, "words": 100},
)
