"""Which trials' encodings a fusion reads, and how they come to be: trained once more, with their models kept."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import EmofuseError
from features.progress import say
from models.metrics import search_value
from search.cluster.interrupts import Interrupts
from search.run.folder import RunFolder
from search.run.predictions import Footer, read_footer
from search.run.spec import TrialSpec

if TYPE_CHECKING:
    from search.recipe.recipe import Stage
    from search.runner import Workers


def best_trials(base: TrialSpec, partitions: Sequence[str]) -> dict[str, Footer]:
    """By partition, the trials of the configuration with the best mean held-out accuracy; ties: lower log loss.

    `base` is its entry's spec: what was trained on other features, or by another version, is passed over.
    """
    by_config: dict[str, dict[str, Footer]] = {}
    for path in sorted((Path(base.run) / "predictions" / f"family={base.entry}").glob("[!.]*.parquet")):
        footer = read_footer(path)
        if footer.partition in partitions and base.at(footer.hyperparameters, footer.partition).trial_key == path.stem:
            by_config.setdefault(footer.config_key, {})[footer.partition] = footer
    whole = [found for found in by_config.values() if len(found) == len(partitions)]
    if not whole:
        raise EmofuseError(
            f"Entry {base.entry!r}: no configuration is finished on {', '.join(partitions)}, so its encodings can't be "
            "fused; see `emofuse search status` for what became of its trials."
        )

    def rank(trials: Mapping[str, Footer]) -> tuple[float, float, str]:
        worth = sum(search_value(f.metrics) or 0.0 for f in trials.values())
        loss = sum(f.metrics.get("log_loss", f.metrics.get("mse", 0.0)) for f in trials.values())
        return -worth, loss, next(iter(trials.values())).config_key

    return min(whole, key=rank)


def encoder_specs(base: TrialSpec, trials: Mapping[str, Footer]) -> list[TrialSpec]:
    """The same `trials` again, their models and encodings kept; equal seeds make equal models."""
    return [
        replace(
            base.at(footer.hyperparameters, partition), keep_model=True, keep_encodings=True,
            batch_size=footer.batch_size,
        )
        for partition, footer in trials.items()
    ]


def train_encoders(run: RunFolder, stage: "Stage", workers: "Workers", interrupts: Interrupts) -> None:
    """Make the encodings that the entries of a fusion stage read, unless they are there."""
    from search.study.plan import members
    from search.study.refits import Refits
    from search.trial.trial import finished_result

    todo: dict[str, TrialSpec] = {}
    for entry in stage.entries.values():
        for base, trials in members(run, entry).values():
            todo.update((s.trial_key, s) for s in encoder_specs(base, trials) if finished_result(s) is None)
    if not todo:
        return
    say(f"encodings for {', '.join(stage.entries)}: {len(todo)} trials once more, to keep their models")
    refits = Refits(run, list(todo.values()), interrupts)
    workers.train(refits, interrupts)
    for key, reason in refits.reasons.items():
        raise EmofuseError(f"Entry {todo[key].entry!r} could not be encoded on {todo[key].partition}: {reason}")
