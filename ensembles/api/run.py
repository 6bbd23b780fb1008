"""A run as an object: its members, trials and predictions as tables, and the ensembles that are fitted on them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ensembles.api.ensemble import Ensemble
from ensembles.api.places import local_folder, place_name, use_plugins, written_back
from features.errors import EmofuseError, WrongUse

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Run", "open_run"]


def open_run(place: str | Path, *, plugins: Sequence[str | Path] = ()) -> "Run":
    """Open a run that a search or an import of predictions has made.

    Parameters
    ----------
    place : str or Path
        Its folder, or the URI of a run on an object store (`s3://bucket/run`, `gs://...`), which is mirrored here.
    plugins : sequence of str or Path
        Files with plug-ins of yours, which stay in use from here on (the command's `--plugin`).

    Returns
    -------
    Run
        Tables are read from the run's files at each call, so a search may go on meanwhile.

    Raises
    ------
    EmofuseError
        There is no such folder, or it holds no run.

    Examples
    --------
    >>> import emofuse as ef
    >>> run = ef.open_run("runs/first")
    >>> run
    Run('runs/first')
    """
    use_plugins(plugins)
    folder = local_folder(place)
    if not folder.is_dir():
        raise EmofuseError(
            f"{place}: no such folder, expected a run; start one with emofuse.search(...) or `emofuse search run`."
        )
    if not (folder / "run.json").is_file() and not (folder / "predictions").is_dir():
        raise EmofuseError(
            f"{place}: expected a run, with run.json or predictions/ in it, but the folder has neither; "
            "start one with emofuse.search(...) or `emofuse search run`."
        )
    return Run(folder)


@dataclass(frozen=True)
class Run:
    """A run: what a search left on disk. Made by `open_run` and `search`.

    Attributes
    ----------
    path : Path
        Its folder; of a run on an object store the local mirror.
    """

    path: Path

    def __repr__(self) -> str:
        return f"Run({place_name(self.path)!r})"

    def _repr_html_(self) -> str:
        return f"<code>{escape(repr(self))}</code>"

    def leaderboard(
        self,
        partitions: Sequence[str] | None = None,
        *,
        split: str | None = None,
        test: bool = False,
        intervals: int | None = 30,
    ) -> "pd.DataFrame":
        """List the members by what they were searched for (the held-out accuracy), best first; or by mean CCC.

        Parameters
        ----------
        partitions : sequence of str, optional
            Pool the trials of these partitions. Default: all that the run has.
        split : {"validation", "train"}, optional
            Use the held-out clips of this split only. Default: all.
        test : bool
            Score the test clips too: a final look, not a way to choose.
        intervals : int or None
            How many of the best get a 95 % interval over groups (None: all).

        Returns
        -------
        pandas.DataFrame
            A row per member, indexed by its name. `accuracy` (pooled), `low` and `high` (its interval, NaN where none
            was made), `mean_accuracy` (over partitions), `unweighted_accuracy`, `macro_f1`, `macro_average_precision`,
            `log_loss`, `coverage` (share of clips that it could score), `epochs` (best ones' mean), `wall_s` (seconds,
            all trials), `hyperparameters`; with `test` also `test_accuracy`, `test_low`, `test_high`. All shares lie
            between 0 and 1. Of continuous emotion `ccc` and `ccc_<dimension>` take the accuracies' place.

        Raises
        ------
        EmofuseError
            There are no predictions, or they don't belong together.
        WrongUse
            An unknown partition or split; a split of a run of continuous emotion.

        Examples
        --------
        >>> import emofuse as ef
        >>> board = ef.open_run("runs/first").leaderboard()
        >>> board[["entry", "accuracy", "coverage"]].shape
        (2, 3)
        """
        from ensembles.api.tables import board_frame, continuous_frame
        from ensembles.comparison.leaderboard import leaderboard
        from ensembles.continuous.run import continuous_entries, read_continuous_run
        from ensembles.predictions.splits import split_to_fit

        held_out = split_to_fit(split)
        over_time, others = continuous_entries(self.path)
        if over_time and not others:
            if held_out is not None:
                raise WrongUse("The members of a run of continuous emotion are scored on all splits: leave split out.")
            return continuous_frame(read_continuous_run(self.path, partitions, test), test)
        board = leaderboard(self.path, partitions, test=test, split=held_out, intervals=intervals)
        return board_frame(board, test)

    def trials(self) -> "pd.DataFrame":
        """List the trials that ended: finished, pruned or failed.

        Returns
        -------
        pandas.DataFrame
            A row per trial, indexed by its key: `entry`, `partition` (`full`: a refit), `status`, `value` (what its
            search maximises: held-out accuracy or mean CCC, of the log-loss the negative; NaN where there is none),
            `epochs`, `wall_s` (seconds), `ended` (UTC), `reason` (of a failed or pruned one), `config_key` (shared by
            the trials of one configuration) and a column `params_<name>` for each hyperparameter.

        Raises
        ------
        EmofuseError
            A file of the run is broken.

        Examples
        --------
        >>> import emofuse as ef
        >>> trials = ef.open_run("runs/first").trials()
        >>> trials["status"].unique().tolist()
        ['finished']
        """
        from ensembles.api.tables import trials_frame

        return trials_frame(self.path)

    def predictions(self, split: str | None = None, partitions: Sequence[str] | None = None) -> "pd.DataFrame":
        """Give the stored probabilities of all members as one long table, as `emofuse ensemble dump` writes it.

        Parameters
        ----------
        split : {"validation", "test", "train"}, optional
            Only these rows: held-out clips, test clips, clips that members were fitted on. Default: all.
        partitions : sequence of str, optional
            Pool the trials of these partitions. Default: all that the run has.

        Returns
        -------
        pandas.DataFrame
            A row per member and clip: `sample_id`, `group_id`, `split`, `label` (None where unknown), `model` (the
            member) and a probability `p_<class>` for each class, NaN where the member could not score the clip.

        Raises
        ------
        EmofuseError
            There are no predictions, or no member has all the partitions.
        WrongUse
            An unknown split.

        Examples
        --------
        >>> import emofuse as ef
        >>> ef.open_run("runs/first").predictions(split="test").columns.tolist()
        ['sample_id', 'group_id', 'split', 'label', 'model', 'p_angry', 'p_happy']
        """
        from ensembles.predictions.exchange import long_table
        from ensembles.predictions.splits import split_named

        wanted = {"val": "validation", None: None}.get(chosen := split_named(split), chosen)
        table = long_table(self.path, partitions)[0].to_pandas()
        return table if wanted is None else table[table["split"] == wanted].reset_index(drop=True)

    def fit(
        self,
        method: str = "auto",
        *,
        name: str | None = None,
        entries: Sequence[str] | None = None,
        top: int | None = 20,
        per_entry: int | None = 3,
        keep_all: bool = False,
        latency_ms: float | None = None,
        where: Mapping[str, Any] | None = None,
        task: str | None = None,
        partitions: Sequence[str] | None = None,
        split: str | None = None,
        metric: str | None = None,
        folds: int = 5,
        repeats: int = 1,
        seed: int = 0,
        test: bool = False,
        **params: Any,
    ) -> Ensemble:
        """Fit weights on the held-out predictions, estimate what they are worth, and keep the ensemble in the run.

        Parameters
        ----------
        method : str
            auto, decision, greedy, subsets, grid, lines, stacking, uniform, votes or best; auto chooses the safest of
            a few that is not clearly worse than the others. Of continuous emotion auto, concordance, uniform or best.
        name : str, optional
            The ensemble's name in the run, by which `ensemble` finds it; one of that name is replaced. Default: the
            method.
        entries : sequence of str, optional
            Only members of these entries.
        top, per_entry : int or None
            At most so many members in all, and of one entry (None: no bound).
        keep_all : bool
            Keep every member, duplicates and weak ones too.
        latency_ms : float, optional
            Only members whose models together take no more milliseconds per clip, the best first.
        where : mapping, optional
            Only members with these hyperparameters, as `{"window": 8}`.
        task : {"classification", "regression"}, optional
            Which members are fused in a run that has both kinds. Default: what the run's members learnt.
        partitions : sequence of str, optional
            Pool the trials of these partitions. Default: all.
        split : {"validation", "train"}, optional
            Use the held-out clips of this split only. Default: all.
        metric : str, optional
            What is maximised: accuracy, unweighted_accuracy, macro_f1, log_loss or macro_average_precision. Default:
            what the run was searched for.
        folds, repeats : int
            Of the nested estimate: folds over groups, and how often it is repeated with new ones.
        seed : int
            The same seed gives the same weights.
        test : bool
            Score the test clips too: a final look, not a way to choose.
        **params
            Parameters of the method (`draws=2000`); of any method `bagged=10`, `shrunk=True`, `temperatures=True`; of
            continuous emotion `recalibrate=True`.

        Returns
        -------
        Ensemble
            With weights (members x classes, or dimensions) and scores.

        Raises
        ------
        EmofuseError
            There are no predictions, or they don't belong together.
        WrongUse
            An unknown method, parameter, entry, partition or split, or no member left.

        Examples
        --------
        >>> import emofuse as ef
        >>> ensemble = ef.open_run("runs/first").fit("greedy", bagged=2)
        >>> ensemble.classes
        ('angry', 'happy')
        """
        from ensembles.fitting.options import FitOptions
        from ensembles.fitting.selection import make_selection
        from ensembles.fitting.store import fit_and_store
        from ensembles.predictions.splits import split_to_fit
        from models.metrics import metric_named

        options = FitOptions(
            method,
            name=name,
            params=params,
            selection=make_selection(entries, top, per_entry, keep_all, latency_ms=latency_ms),
            partitions=partitions,
            fit_split=split_to_fit(split),
            folds=folds,
            repeats=repeats,
            seed=seed,
            metric=metric_named(metric) if metric else None,
            where=dict(where or {}),
            task=task,
        )
        with written_back(self.path):
            return Ensemble(fit_and_store(self.path, options, test=test), self.path)

    def ensembles(self) -> tuple[str, ...]:
        """Name the ensembles that are kept in the run, in alphabetical order.

        Examples
        --------
        >>> import emofuse as ef
        >>> ef.open_run("runs/first").ensembles()
        ('best', 'greedy')
        """
        from ensembles.records.stored import ensemble_names

        return ensemble_names(self.path)

    def ensemble(self, name: str) -> Ensemble:
        """Open an ensemble that is kept in the run.

        Parameters
        ----------
        name : str
            As it was fitted under.

        Returns
        -------
        Ensemble

        Raises
        ------
        WrongUse
            There is none of that name; the nearest is told.

        Examples
        --------
        >>> import emofuse as ef
        >>> ef.open_run("runs/first").ensemble("best").name
        'best'
        """
        from ensembles.records.stored import open_ensemble

        return Ensemble(open_ensemble(self.path, name), self.path)

    def report(self, out: str | Path = "report.html", *, test: bool = False) -> Path:
        """Write the run's report as one HTML file: models, ensembles, weights, confusion matrices, the search.

        Parameters
        ----------
        out : str or Path
            The file.
        test : bool
            Score the test clips too: a final look.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        EmofuseError
            There are no predictions.

        Examples
        --------
        >>> import emofuse as ef
        >>> ef.open_run("runs/first").report("report.html").name
        'report.html'
        """
        from ensembles.report import write_report

        return write_report(self.path, Path(out), test=test)
