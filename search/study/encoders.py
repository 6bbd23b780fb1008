"""Which trials' encodings a fusion reads, and how they come to be: trained once more, with their models kept."""

from collections.abc import Mapping
from dataclasses import replace

from features.errors import EmofuseError
from features.progress import say
from search.budget.spending import Spending
from search.cluster.interrupts import Interrupts
from search.cluster.jobs import Job
from search.cluster.workers import Workers
from search.goal.history import had_enough
from search.recipe.recipe import Stage
from search.run.folder import RunFolder
from search.run.planned import read_asked
from search.run.predictions import Footer
from search.run.spec import TrialSpec
from search.study.plan import members
from search.study.refits import Refits
from search.trial.trial import finished_result


def encoder_specs(base: TrialSpec, trials: Mapping[str, Footer]) -> list[TrialSpec]:
    """The same `trials` again, their models and encodings kept; equal seeds make equal models."""
    return [
        replace(
            base.at(footer.hyperparameters, partition),
            keep_model=True,
            keep_encodings=True,
            batch_size=footer.batch_size,
        )
        for partition, footer in trials.items()
    ]


def is_left_out(run: RunFolder, stage: Stage) -> bool:
    """Whether `stop_when` ended the run before this stage, so that nothing will read what its entries read."""
    begun = read_asked(run.path).keys() & stage.entries.keys()
    return stage.stage == "fusion" and not begun and had_enough(run.path)


class Encoders(Refits):
    """They are on the books already, as trials of their own stage: only the end of the whole run's budget ends them."""

    counts = False

    def _may_start(self, job: Job) -> bool:
        return self._spending is None or self._spending.purse.may_start_uncounted(job.spec.entry)


def train_encoders(run: RunFolder, stage: Stage, workers: Workers, interrupts: Interrupts, spending: Spending) -> bool:
    """Make the encodings that the entries of a fusion stage read, unless they are there.

    Returns whether they are; else the run's budget is over.
    """
    todo: dict[str, TrialSpec] = {}
    for entry in stage.entries.values():
        for base, trials in members(run, entry).values():
            todo.update((s.trial_key, s) for s in encoder_specs(base, trials) if finished_result(s) is None)
    refits = Encoders(run, list(todo.values()), interrupts, spending)
    if not refits.exhausted:
        say(f"encodings for {', '.join(stage.entries)}: {len(todo)} trials once more, to keep their models")
        with spending.clock.whole_alone():
            workers.train(refits, interrupts)
    for key, reason in refits.reasons.items():
        raise EmofuseError(f"Entry {todo[key].entry!r} could not be encoded on {todo[key].partition}: {reason}")
    return not refits.left
