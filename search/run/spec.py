"""What a trial is: its specification as plain data, and the keys that name the work."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from features.files import content_key
from models.metrics import DEFAULT_METRICS, SearchMetric
from search.recipe.recipe import StageName


@dataclass(frozen=True)
class TrialSpec:
    """All that a worker needs to know of a trial; plain data, so that it travels as JSON.

    `run` is the run folder, `clips` the table that the trial is trained on (the stills for a backbone), `inputs` and
    `feature_keys` are by slot. `epochs` is None for early stopping, a number for a refit. `cpu`, `gpu` and `memory_mb`
    are what the trial was given; like the paths they are no part of its keys. `batch_size` takes the place of the
    hyperparameter once memory ran out, and is no part of them either, nor are the limits `stall_s` and `time_limit_s`
    of the watchdog (None: no limit). `weights` is a file of pretrained parameters (empty: none), which the keys know by
    its digest. `keep_model` keeps the model, `keep_from` does so from that value of the search on.

    `encoders` are, for each slot of a fusion and each partition, the key of the trial whose encodings it reads; its
    `feature_keys` are those trials' configuration keys. `keep_encodings` keeps the model's own, for a later fusion.

    `plugin_sha256` is the digest of the code of a plug-in's family, empty for emofuse's own.

    `annotations` is the fingerprint of the continuous labels that the trial learns; empty: it tells classes apart.
    `metric` is what its search maximises; the default of the task is no part of the keys.

    `training` are settings in place of the family's own (models.training.wishes); none are no part of the keys.

    `repeat` numbers the trainings of one configuration with other seeds; of the first, 0, keys and seed are as if there
    were no others.
    """

    run: str
    clips: str
    store: str
    stage: StageName
    entry: str
    family: str
    family_version: int
    inputs: Mapping[str, str]
    feature_keys: Mapping[str, str]
    clips_fingerprint: str
    recipe_seed: int
    max_epochs: int | None = None
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    partition: str = ""
    epochs: int | None = None
    parents: tuple[str, ...] = ()
    keep_model: bool = False
    allow_shared_groups: bool = False
    cpu: float = 1.0
    gpu: float = 0.0
    memory_mb: int = 0
    weights: str = ""
    weights_sha256: str = ""
    batch_size: int | None = None
    stall_s: float | None = None
    time_limit_s: float | None = None
    encoders: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    keep_encodings: bool = False
    keep_from: float | None = None
    annotations: str = ""
    plugin_sha256: str = ""
    metric: SearchMetric = "accuracy"
    repeat: int = 0
    training: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        seed = f" seed {self.repeat + 1}" if self.repeat else ""
        return f"{self.entry} {self.trial_key[:8]} {self.partition}{seed}"

    @property
    def used_batch(self) -> int | None:
        """The batch size that the trial is trained with; None for a family that has none."""
        asked = self.hyperparameters.get("batch_size")
        return self.batch_size if self.batch_size is not None and asked is not None else asked

    @property
    def config_key(self) -> str:
        """The key that one configuration has on all partitions.

        The entry's name is part of it: two entries of one family never claim each other's predictions.
        """
        return content_key(
            {
                "entry": self.entry,
                "family": self.family,
                "version": self.family_version,
                "hyperparameters": dict(self.hyperparameters),
                "features": dict(self.feature_keys),
                "clips": self.clips_fingerprint,
                "seed": self.recipe_seed,
                "max_epochs": self.max_epochs,
                **({"weights": self.weights_sha256} if self.weights_sha256 else {}),
                **({"plugin": self.plugin_sha256} if self.plugin_sha256 else {}),
                **({"annotations": self.annotations} if self.annotations else {}),
                **({"whitened": whitened} if (whitened := self._whitened) else {}),
                **({"metric": self.metric} if self.metric not in DEFAULT_METRICS else {}),
                **({"training": dict(self.training)} if self.training else {}),
            }
        )

    @property
    def trial_key(self) -> str:
        """The key of this work: equal specs on equal data have equal keys."""
        return content_key(
            {
                "config": self.config_key,
                "partition": self.partition,
                "epochs": self.epochs,
                **({"encoders": encoder_keys} if (encoder_keys := self.encoder_keys) else {}),
                **({"repeat": self.repeat} if self.repeat else {}),
            }
        )

    @property
    def encoder_keys(self) -> dict[str, str]:
        """For each slot of a fusion: the key of the trial, on this partition, whose encodings it reads."""
        return {slot: keys[self.partition] for slot, keys in self.encoders.items()}

    @property
    def _whitened(self) -> dict[str, str]:
        return {slot: how for slot, spec in self.inputs.items() if (how := spec.partition("|")[2])}

    @property
    def seed(self) -> int:
        """The training's seed (31 bits), made from `config_key`, which the recipe's is part of, and `repeat`."""
        key = content_key([self.config_key, self.repeat]) if self.repeat else self.config_key
        return int(key[:8], 16) >> 1

    def at(self, hyperparameters: Mapping[str, Any], partition: str, repeat: int = 0) -> "TrialSpec":
        """The entry's trial at these (complete) hyperparameters on this partition."""
        return replace(self, hyperparameters=dict(hyperparameters), partition=partition, repeat=repeat)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data."""
        return {**asdict(self), "parents": list(self.parents)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "TrialSpec":
        """The spec that `to_dict` wrote."""
        return cls(**{**data, "parents": tuple(data["parents"])})
