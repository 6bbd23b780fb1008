"""The record of a trial that ended without predictions."""

from search.run.layout import Outcome
from search.run.spec import TrialSpec
from search.study.jobs import Ending
from search.trial.batch import used_batch


def ended_outcome(spec: TrialSpec, ending: Ending) -> Outcome:
    """How the trial failed or was pruned, to be written by `Layout.write_outcome`."""
    if ending.status == "finished":
        raise ValueError("A finished trial's record are its predictions.")
    return Outcome(
        spec.trial_key, spec.config_key, ending.status, ending.reason, spec.entry, spec.family, spec.partition,
        spec.hyperparameters, ending.epochs, ending.value, ending.kind, batch_size=used_batch(spec),
        wall_s=ending.wall_s,
    )
