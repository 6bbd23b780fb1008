"""A whole search: the stages of a recipe one after another, on Ray or in this process.

The run's folder is the truth: what lies there is not done again, so the same command starts, resumes and extends a
search.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from features.files import clear_half_written
from features.progress import say
from features.unwritable import writing
from search.budget.spending import Spending, spending
from search.cluster.interrupts import Interrupts
from search.cluster.workers import Workers
from search.recipe.inputs import source, split_layer
from search.recipe.recipe import Recipe, Stage
from search.run.ended import set_damaged_aside
from search.run.folder import RunFolder
from search.run.lease import exclusive
from search.run.remote import remote_of
from search.sampling.journal import open_journal
from search.sampling.warm import with_warm_start
from search.study.activations import ensure_entry_activations
from search.study.best import Unfinished
from search.study.encoders import is_left_out, train_encoders
from search.study.plan import entry_spec
from search.study.refits import train_more_seeds
from search.study.retries import failed_outcomes, queue_retries
from search.study.stage_jobs import StageJobs
from search.trial.heartbeats import searching
from search.trial.watchdog import clear_hung
from search.watch.status import Status, read_status
from search.watch.status_view import budget_text, stopped_text


def run_search(
    recipe: Recipe,
    *,
    clips: Path,
    store: Path,
    out: Path,
    stills: Path | None = None,
    workers: Workers | None = None,
    retry_failed: bool = False,
) -> Status:
    """Start a search, or continue the one that lies at `out`; returns how it stands at the end.

    `retry_failed` tries again what failed before. EmofuseError when the search is told to stop; `Status.check` tells
    whether every entry has a finished trial.
    """
    with writing(out):
        return _search(RunFolder.prepare(out, recipe, clips, store, stills), workers or Workers(), retry_failed)


def _search(run: RunFolder, workers: Workers, retry_failed: bool) -> Status:
    remote = remote_of(run.path)
    with (
        remote.held() if remote else nullcontext(),
        exclusive(run.path),
        Interrupts(run.path, workers.embedded) as interrupts,
        workers,
        searching(run.path, lambda: workers.dashboard, lambda: workers.heard_s),
        _saying_how_far(run, interrupts),
        spending(run) as budget,
    ):
        clear_hung(run.path)
        clear_half_written(run.path)
        _check_features(run)
        set_damaged_aside(run.path)
        run = with_warm_start(run)
        journal = open_journal(run.journal)
        if retry_failed:
            queue_retries(run, journal, failed_outcomes(run))
        cut_short = False
        for stage in run.recipe.stages:
            if is_left_out(run, stage):
                continue
            if budget.purse.over:
                cut_short = True
                break
            try:
                if not _prepared(run, stage, workers, interrupts, budget):
                    cut_short = True
                    break
                jobs = StageJobs(run, stage, journal, interrupts, budget)
            except Unfinished:
                if not cut_short:
                    raise
                continue  # a larger budget finishes what it reads
            if jobs.peek() is not None:
                say(jobs.asked)
            workers.train(jobs, interrupts)
            cut_short = train_more_seeds(run, stage, workers, interrupts, budget) or jobs.cut_short or cut_short
            if remote:
                remote.pull("predictions", "trials", "models")
    status = read_status(run)
    if cut_short and status.left:
        say(budget_text(status, len(list((run.path / "checkpoints").glob("*/*")))))
    return status


def _prepared(run: RunFolder, stage: Stage, workers: Workers, interrupts: Interrupts, budget: Spending) -> bool:
    """Whether all that the stage's entries read is there; else the run's budget ended first."""
    remote = remote_of(run.path)
    for entry in stage.entries.values():
        ensure_entry_activations(run, entry)
    if remote:
        remote.push()
    if stage.stage != "fusion":
        return True
    encoded = train_encoders(run, stage, workers, interrupts, budget)
    if remote:
        remote.pull("predictions", "models", "encodings")
    return encoded


@contextmanager
def _saying_how_far(run: RunFolder, interrupts: Interrupts) -> Iterator[None]:
    try:
        yield
    finally:
        if interrupts.stopping:
            say(stopped_text(read_status(run), len(list((run.path / "checkpoints").glob("*/*")))))


def _check_features(run: RunFolder) -> None:
    """Tell of missing features before hours of training; a backbone's layers and weights come later."""
    for stage, entry in run.recipe.all_entries():
        if stage != "fusion" and not any(split_layer(source(spec)) for spec in entry.input_specs().values()):
            entry_spec(run, stage, entry.model_copy(update={"weights_from": None}))
