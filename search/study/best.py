"""Which trial of an entry is best, for what later stages read of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from features.errors import EmofuseError
from models.metrics import search_value
from search.run.folder import RunFolder
from search.run.predictions import Footer, prediction_files, read_footer
from search.run.spec import TrialSpec


def best_backbone(run: RunFolder, name: str) -> Footer:
    """The finished backbone trial of entry or family `name` with the best held-out accuracy; ties: lower log loss."""
    footers = [footer for path in prediction_files(run.path) if (footer := read_footer(path)).stage == "backbone"]
    found = [footer for footer in footers if name in (footer.entry, footer.family)]
    if not found:
        raise EmofuseError(
            f"{run.path}: no trial of backbone {name!r} has finished, so its layers can't be read; "
            "see `emofuse search status` for what became of them."
        )
    return min(found, key=lambda f: (-f.metrics["accuracy"], f.metrics["log_loss"], f.trial_key))


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
