"""Generated predictions for the tests of ensembles."""

from types import SimpleNamespace

import numpy as np
import pytest

from features.files import content_key
from search.run.predictions import Footer, Predictions, write_predictions


@pytest.fixture
def simulate():
    """Make scores of members of different skill; `lacking` is the share of clips that a member lacks."""

    def make(M=4, N=80, C=3, seed=0, lacking=0.0, skill=(0.3, 1.2)):
        rng = np.random.default_rng(seed)
        y = rng.integers(0, C, N)
        z = rng.normal(size=(M, N, C))
        z[:, np.arange(N), y] += rng.uniform(*skill, size=(M, 1))
        P = np.exp(z)
        P = (P / P.sum(axis=2, keepdims=True)).astype(np.float32)
        valid = rng.random((M, N)) >= lacking
        P[~valid] = 1 / C
        return SimpleNamespace(P=P, y=y, valid=valid, groups=[f"g{n % 10}" for n in range(N)])

    return make


@pytest.fixture
def write_trial(tmp_path):
    """Write a trial's prediction file into the run folder `tmp_path`; rows are (clip, group, split, role, label)."""

    def write(rows, P, *, entry="svm", config="c1", partition="train", classes=("a", "b"), valid=None, **footer):
        ids, groups, splits, roles, labels = zip(*rows, strict=True)
        seed, table = footer.pop("seed", 0), footer.get("clips_fingerprint", "")
        footer = Footer(
            trial_key=content_key([entry, config, partition, seed, table]),
            config_key=content_key([entry, config]),
            family=footer.pop("family", entry),
            entry=entry,
            hyperparameters=footer.pop("hyperparameters", {"lr": 0.01}),
            partition=partition,
            classes=classes,
            seed=seed,
            epochs=10,
            best_epoch=7,
            metrics={},
            **footer,
        )
        valid = np.ones(len(ids), bool) if valid is None else np.array(valid)
        P = np.asarray(P, np.float32)
        return write_predictions(tmp_path, Predictions(footer, ids, groups, splits, roles, labels, valid, P))

    return write


@pytest.fixture
def write_run(tmp_path, simulate, write_trial):
    """A run of several members on the partitions train and swap, with test clips; returns its folder."""

    def write(M=4, N=80, C=3, seed=0, partitions=("train", "swap"), **how):
        s = simulate(M=M, N=N, C=C, seed=seed, **how)
        names = tuple("abcdefgh"[:C])
        split = ["train" if n % 5 < 2 else "val" if n % 5 < 4 else "test" for n in range(N)]
        for m in range(M):
            for partition in partitions:
                fitted = {"train": ("train",), "swap": ("val",), "full": ("train", "val")}[partition]
                role = ["test" if side == "test" else "fit" if side in fitted else "held_out" for side in split]
                rows = [(f"clip{n:03d}", f"{split[n]}{n % 20}", split[n], role[n], names[s.y[n]]) for n in range(N)]
                write_trial(
                    rows,
                    s.P[m],
                    entry=f"e{m % 2}",
                    config=m,
                    partition=partition,
                    classes=names,
                    valid=s.valid[m],
                    hyperparameters={"lr": 0.1 / (m + 1), "hidden": 64},
                    clips_fingerprint="f1",
                )
        return tmp_path

    return write
