"""A fitted ensemble as an object that a notebook shows well."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ensembles.api.places import place_name, written_back
from ensembles.records.ensemble import Ensemble as Record
from features.errors import WrongUse

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console, ConsoleOptions, RenderResult

__all__ = ["Ensemble"]

_WIDE = 120  # columns of the plain text


class Ensemble:
    """A fitted ensemble: weights per member and class, with scores that say what rows they were measured on.

    Made by `Run.fit`, `Run.ensemble` and `fit`. A terminal (rich) and a notebook show its scores, the nested estimate
    and its weights.

    Attributes
    ----------
    record
        All that is stored of it in `ensemble.json`.
    run : Path or None
        The folder of its run; None of an ensemble of arrays.
    """

    def __init__(self, record: Record, run: Path | None = None):
        self.record, self.run = record, run

    @property
    def name(self) -> str:
        """Its name in the run."""
        return self.record.name

    @property
    def method(self) -> str:
        """The fusion method that its weights come from."""
        return self.record.method

    @property
    def classes(self) -> tuple[str, ...]:
        """The C class names, in the order of all probabilities; none of continuous emotion."""
        return self.record.classes

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The D names of what is predicted over time, as arousal and valence; none of classes."""
        return self.record.over_time.dimensions if self.record.over_time else ()

    @property
    def members(self) -> tuple[str, ...]:
        """The names of its M members, in the order of the weights."""
        return tuple(member.name for member in self.record.members)

    @property
    def weights(self) -> "pd.DataFrame":
        """The weights (M x C): a row per member, a column per class (or dimension); columns sum to 1.

        Examples
        --------
        >>> import emofuse as ef
        >>> weights = ef.open_run("runs/first").ensemble("best").weights
        >>> weights.sum().round(6).tolist()
        [1.0, 1.0]
        """
        from ensembles.api.tables import weights_frame

        return weights_frame(self.record)

    @property
    def scores(self) -> "pd.DataFrame":
        """Every score, of the ensemble, its best single member and two plain averages.

        `uniform_average` is that of its members, those with weight (in a nested fold: those that its fit gave weight),
        `candidates_average` that of all members that could have got some.


        The index is `who` and `measured_on`: fit (the rows that chose the weights: always too high), nested (the honest
        estimate: each clip by weights fitted without its group), test, test_refit. Columns are the metrics (shares
        between 0 and 1), the accuracy's 95 % interval `low` and `high` (NaN with one group), `n_clips`, `n_groups`. Of
        continuous emotion they are `ccc` (the mean), `ccc_<dimension>`, `mse`, and the interval of `ccc`.

        Examples
        --------
        >>> import emofuse as ef
        >>> scores = ef.open_run("runs/first").ensemble("best").scores
        >>> scores.loc[("ensemble", "nested"), "n_clips"].item()
        8
        """
        from ensembles.api.tables import scores_frame

        return scores_frame(self.record)

    @property
    def choice(self) -> "pd.DataFrame":
        """What the method `auto` chose among, from very safe to flexible; empty of other methods.

        The index is the fusion's name. `value` is the metric that it reached on clips of inner folds that had no part
        in its fit, `low` and `high` its 95 % interval, `gain` by how much it is better than the plain average,
        `error` the standard error of that, `setting` what it was tuned to, `chosen` whether it is this ensemble's.

        Examples
        --------
        >>> import emofuse as ef
        >>> ef.open_run("runs/first").ensemble("best").choice.columns.tolist()
        ['metric', 'value', 'low', 'high', 'gain', 'error', 'setting', 'chosen']
        """
        from ensembles.api.tables import choice_frame

        return choice_frame(self.record)

    @property
    def verdict(self) -> str:
        """One sentence: does it beat its best single member, on clips that had no part in choosing?"""
        return self.record.verdict

    def predict_proba(self, P: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
        """Fuse probabilities of the members.

        Parameters
        ----------
        P : ndarray (M, N, C)
            Each member's probabilities of N clips, in the order of `members` and `classes`; rows sum to 1.
        valid : ndarray (M, N) of bool, optional
            Which clips a member has. Default: all.

        Returns
        -------
        ndarray (N, C)
            Rows sum to 1.

        Raises
        ------
        EmofuseError
            Arrays of another shape, rows that are no probabilities, or an ensemble of continuous emotion.

        Examples
        --------
        >>> import emofuse as ef, numpy as np
        >>> P = np.array([[[0.9, 0.1], [0.4, 0.6]], [[0.6, 0.4], [0.1, 0.9]]])
        >>> ensemble = ef.fit(P, [0, 1], method="uniform")
        >>> ensemble.predict_proba(P).round(2).tolist()
        [[0.75, 0.25], [0.25, 0.75]]
        """
        from ensembles.fusion.base import check_probabilities

        if self.record.over_time is not None:
            raise WrongUse(
                f"Ensemble {self.name!r} predicts {', '.join(self.dimensions)} over time: use predict_steps."
            )
        P, valid = check_probabilities(P, valid)
        expected = self.record.weights.shape
        if (len(P), P.shape[2]) != expected:
            raise WrongUse(
                f"Expected probabilities of {expected[0]} members over {expected[1]} classes, but got {len(P)} over "
                f"{P.shape[2]}; the members are {', '.join(self.members)}."
            )
        return self.record.predict_proba(P, valid)

    def predict_steps(self, P: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
        """Fuse the members' predictions over time, of an ensemble of continuous emotion.

        Parameters
        ----------
        P : ndarray (M, T, D)
            Each member's predictions at T moments, in the order of `members` and `dimensions`.
        valid : ndarray (M, T, D) of bool, optional
            Which moments a member has. Default: all.

        Returns
        -------
        ndarray (T, D)

        Raises
        ------
        EmofuseError
            Arrays of another shape, numbers that are not finite, or an ensemble of classes.

        Examples
        --------
        >>> import emofuse as ef, numpy as np
        >>> ensemble = ef.open_run("runs/first").ensemble("best")
        >>> ensemble.predict_steps(np.zeros((1, 5, 2)))
        Traceback (most recent call last):
        ...
        features.errors.EmofuseError: Ensemble 'best' tells classes apart; it predicts nothing over time.
        """
        return self.record.predict_over_time(P, np.ones(np.shape(P), bool) if valid is None else valid)

    def predictions(self, split: str = "validation", *, refitted: bool = False) -> "pd.DataFrame":
        """Fuse its members' stored predictions of the run's clips.

        Parameters
        ----------
        split : {"validation", "test"}
            The held-out clips (which chose the weights, so accuracies on them are too high), or the test clips.
        refitted : bool
            Take the test predictions of the refitted members.

        Returns
        -------
        pandas.DataFrame
            A row per clip, indexed by `clip_id`: `group_id`, `label` (held-out clips only: test clips are scored with
            `Run.fit(test=True)` or `refit(test=True)`), `prediction`, and a probability `p_<class>` for each class. Of
            continuous emotion a row per moment, indexed by `clip_id` and `time_s`, with a column for each dimension.

        Raises
        ------
        EmofuseError
            Predictions of a member are gone.
        WrongUse
            Another split, or an ensemble of arrays.

        Examples
        --------
        >>> import emofuse as ef
        >>> ef.open_run("runs/first").ensemble("best").predictions("test").columns.tolist()
        ['group_id', 'prediction', 'p_angry', 'p_happy']
        """
        import pandas as pd

        from ensembles.predictions.splits import split_named
        from ensembles.records.fused import fused

        if self.record.over_time is not None:
            from ensembles.records.named import ensemble_traces

            traces = ensemble_traces(self._run("predictions"), self.record, str(split_named(split)), refitted)
            return traces.table().to_pandas().set_index(["clip_id", "time_s"])
        found = fused(self._run("predictions"), self.record, str(split_named(split)), refitted)
        columns = {
            "clip_id": found.ids,
            "group_id": found.groups,
            **({} if found.labels is None else {"label": found.labels}),
            "prediction": [self.classes[c] for c in found.probabilities.argmax(axis=1)],
            **{f"p_{name}": found.probabilities[:, c] for c, name in enumerate(self.classes)},
        }
        return pd.DataFrame(columns).set_index("clip_id")

    def refit(
        self,
        *,
        test: bool = False,
        address: str | None = None,
        cpus: int | None = None,
        in_process: bool = False,
        allow_open: bool = False,
    ) -> "Ensemble":
        """Train every member once more on train plus val, with its hyperparameters, epochs and weights kept.

        Refits that are there already are not made again.

        Parameters
        ----------
        test : bool
            Score the test clips with the refitted members: a final look.
        address : str, optional
            The Ray cluster to train on ("auto", or host:port). Default: Ray on this machine.
        cpus : int, optional
            CPUs of this machine to use. Default: all.
        in_process : bool
            Train one after another in this process, without Ray.
        allow_open : bool
            Train on a cluster that asks nobody for a token, where whoever reaches it can run code.

        Returns
        -------
        Ensemble
            The refitted one, which is kept in the run in this one's place and can be exported.

        Raises
        ------
        EmofuseError
            A member was imported from another tool, or a refit failed.
        WrongUse
            Settings that exclude each other, or an ensemble of arrays.

        Examples
        --------
        >>> import emofuse as ef
        >>> ensemble = ef.open_run("runs/first").ensemble("best").refit(test=True, in_process=True)
        >>> ("ensemble", "test_refit") in ensemble.scores.index
        True
        """
        from ensembles.bundle.refit import refit_and_store
        from search.cluster.workers import Workers

        run = self._run("refit")
        workers = Workers(address, cpus, in_process, allow_open=allow_open, embedded=True)
        with written_back(run):
            return Ensemble(refit_and_store(run, self.record, workers, test=test), run)

    def export(
        self, folder: str | Path, *, anyway: bool = False, single: bool = False, with_encoders: bool = False
    ) -> Path:
        """Write it as a bundle that `load` and `emofuse predict` read on any machine; `refit` it first.

        Parameters
        ----------
        folder : str or Path
            The bundle's folder: new, or an older bundle's, which is replaced.
        anyway : bool
            Export it also where the nested estimate is no better than its best single member's.
        single : bool
            Export that member alone.
        with_encoders : bool
            Put the weights of the encoders that it reads into the bundle; `load` asks for them otherwise.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        EmofuseError
            Members are not refitted, or the weights of an encoder are not those that they were made with.
        WrongUse
            The folder holds something else, an ensemble of arrays, or one no better than its best single member.

        Examples
        --------
        >>> import emofuse as ef
        >>> refitted = ef.open_run("runs/first").ensemble("best").refit(in_process=True)
        >>> refitted.export("bundle", anyway=True).name
        'bundle'
        """
        from ensembles.bundle.export import export_bundle
        from ensembles.bundle.refit import refuse_imported
        from ensembles.fitting.advice import checked
        from search.run.folder import RunFolder

        run = self._run("export")
        chosen = checked(self.record, place_name(run), anyway=anyway, single=single)
        refuse_imported(run, chosen)
        return export_bundle(RunFolder.open(run), chosen, Path(folder), with_encoders=with_encoders)

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from rich.text import Text

        from ensembles.comparison.tables import choice_table, scores_table, weights_table
        from ensembles.comparison.tables_over_time import scores_over_time

        if self.record.choice:
            yield choice_table(self.record)
        yield scores_over_time(self.record) if self.record.over_time else scores_table(self.record)
        yield weights_table(self.record)
        yield Text(self.verdict)

    def __repr__(self) -> str:
        from io import StringIO

        from features.terminal import console

        # In a notebook rich would show what is written here.
        plain: dict[str, Any] = {"force_jupyter": False, "color_system": None}
        console(file=(text := StringIO()), width=_WIDE, **plain).print(self)
        return "\n".join(line.rstrip() for line in text.getvalue().splitlines())

    def _repr_html_(self) -> str:
        from ensembles.api.shown import ensemble_html

        return ensemble_html(self.record)

    def _run(self, what: str) -> Path:
        if self.run is None:
            raise WrongUse(
                f"Ensemble {self.name!r} was fitted on arrays, so it has no run, which {what} needs; use predict_proba."
            )
        return self.run
