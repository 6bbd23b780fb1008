"""Which trial of an entry is best, for what later stages read of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from features.errors import EmofuseError, WrongUse
from features.progress import say
from models.metrics import in_words, search_value, told
from models.weights import WEIGHTS_FILE
from search.recipe.weights import parse_weights
from search.run.folder import RunFolder
from search.run.predictions import Footer, prediction_files, read_footer
from search.run.remote import mirrored, shown
from search.run.spec import TrialSpec


class Unfinished(EmofuseError):
    """Nothing is finished that a later stage could read."""


def best_backbone(run: RunFolder, name: str) -> Footer:
    """The finished backbone trial of entry or family `name` that is best by its metric; ties: lower log loss.

    Errors: Unfinished.
    """
    footers = [footer for path in prediction_files(run.path) if (footer := read_footer(path)).stage == "backbone"]
    found = [footer for footer in footers if name in (footer.entry, footer.family)]
    if not found:
        raise Unfinished(
            f"{run.path}: no trial of backbone {name!r} has finished, so its layers can't be read; "
            "see `emofuse search status` for what became of them."
        )
    return min(found, key=Footer.ranking(run.recipe.metric_of_backbone(name)))


def find_weights(items: Sequence[str]) -> dict[str, Path]:
    """The files of `ENTRY=FILE` and `ENTRY=RUN:ENTRY` (the best trial of a run's backbone) by entry."""
    return {entry: _file(place) for entry, place in parse_weights(items).items()}


def _file(place: str) -> Path:
    if Path(place).is_file():
        return Path(place)
    if (Path(place) / "run.json").is_file():
        known = [entry.name for stage, entry in RunFolder.open(Path(place)).recipe.all_entries() if stage == "backbone"]
        example = f", such as {place}:{known[0]}" if known else ", but it has none"
        raise WrongUse(f"--weights: {place} is a run; name its backbone{example}.")
    folder, colon, name = place.rpartition(":")
    if not colon or folder in ("s3", "gs", "gcs", "abfs"):
        return Path(place)
    local = mirrored(folder, "reader")
    run = RunFolder.open(local)
    run.recipe.entry(name)
    best = best_backbone(run, name)
    run.check_model(best.trial_key, "run its search again: the backbone is trained again")
    worth = f"{100 * best.metrics['accuracy']:.1f} % of its held-out stills"
    if best.searched != "accuracy":
        worth += f", {in_words(best.searched)} {told(best.searched, best.value or 0.0):.3f}"
    say(f"{shown(local)}: the best trial of {name} is {best.trial_key[:8]}, {worth}")
    return run.model_folder(best.trial_key) / WEIGHTS_FILE


def best_trials(
    base: TrialSpec, partitions: Sequence[str], choose_on: str | None = None, seeds: int | None = None
) -> dict[str, Footer]:
    """By partition, the trials of the configuration whose mean is best by the entry's metric; ties: lower log loss.

    `base` is its entry's spec: what was trained on other features, for another metric or by another version, is passed
    over. Where a configuration was trained with several seeds, the first `seeds` (None: all) are compared and the first
    ones returned. With `choose_on` the results of that partition alone are compared. Errors: Unfinished.
    """
    by_config: dict[str, dict[str, Footer]] = {}
    compared: dict[str, list[Footer]] = {}
    for path in sorted((Path(base.run) / "predictions" / f"family={base.entry}").glob("[!.]*.parquet")):
        footer = read_footer(path)
        spec = base.at(footer.hyperparameters, footer.partition, footer.repeat)
        if footer.partition not in partitions or spec.trial_key != path.stem:
            continue
        if not footer.repeat:
            by_config.setdefault(footer.config_key, {})[footer.partition] = footer
        if choose_on in (None, footer.partition) and (seeds is None or footer.repeat < seeds):
            compared.setdefault(footer.config_key, []).append(footer)
    whole = [found for found in by_config.values() if len(found) == len(partitions)]
    if not whole:
        raise Unfinished(
            f"Entry {base.entry!r}: no configuration is finished on {', '.join(partitions)}, so its encodings can't be "
            "fused; see `emofuse search status` for what became of its trials."
        )

    def rank(trials: Mapping[str, Footer]) -> tuple[float, float, str]:
        key = next(iter(trials.values())).config_key
        own = compared[key]
        worth = sum(search_value(f.metrics, base.metric) or 0.0 for f in own) / len(own)
        loss = sum(f.metrics.get("log_loss", f.metrics.get("mse", 0.0)) for f in own) / len(own)
        return -worth, loss, key

    return min(whole, key=rank)
