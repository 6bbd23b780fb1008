"""Records as pandas DataFrames."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ensembles.comparison.leaderboard import Leaderboard, short
from ensembles.comparison.tables import HOWS, who_names
from ensembles.evaluation.metrics import METRICS
from features.errors import EmofuseError
from features.terminal import command
from search.run.ended import Ended, read_ended
from search.run.layout import Layout
from search.run.predictions import read_footer

if TYPE_CHECKING:
    from ensembles.continuous.run import ContinuousRun
    from ensembles.evaluation.intervals import Interval
    from ensembles.records.ensemble import Ensemble, Measured


def board_frame(board: Leaderboard, test: bool) -> pd.DataFrame:
    """A leaderboard's members, a row each."""
    rows = []
    for row in board.members:
        found: dict[str, Any] = {
            "member": row.name,
            "entry": row.entry,
            "family": row.family,
            "accuracy": row.accuracy,
            **bounds(row.interval),
            "mean_accuracy": row.mean_accuracy,
            "unweighted_accuracy": row.unweighted_accuracy,
            "macro_f1": row.macro_f1,
            "macro_average_precision": row.macro_average_precision,
            "log_loss": row.log_loss,
            "coverage": row.coverage,
            "epochs": row.epochs,
            "wall_s": row.wall_s,
            "hyperparameters": row.hyperparameters,
        }
        if test:
            found |= {"test_accuracy": row.test_accuracy, **bounds(row.test_interval, "test_")}
        rows.append(found)
    return pd.DataFrame(rows).set_index("member")


def continuous_frame(run: "ContinuousRun", test: bool) -> pd.DataFrame:
    """The members of a run of continuous emotion, a row each."""
    rows = [
        {
            "member": member.name,
            "entry": member.footer.entry,
            "family": member.footer.family,
            **member.metrics,
            "coverage": member.coverage,
            "hyperparameters": short(member.footer.hyperparameters),
            **({f"test_{name}": value for name, value in member.test.items()} if test else {}),
        }
        for member in run.members
    ]
    return pd.DataFrame(rows).set_index("member")


def trials_frame(run: Path) -> pd.DataFrame:
    """All trials of a run that ended, a row each."""
    layout = Layout(run)
    rows = []
    for trial in read_ended(run):
        rows.append(
            {
                "trial_key": trial.trial_key,
                "entry": trial.entry,
                "partition": trial.partition,
                "status": trial.status,
                "value": trial.value,
                "epochs": trial.epochs,
                "wall_s": trial.wall_s,
                "ended": pd.Timestamp(trial.at_s, unit="s", tz="UTC"),
                "reason": trial.reason or None,
                "config_key": trial.config_key,
                **{f"params_{name}": value for name, value in sorted(_hyperparameters(layout, trial).items())},
            }
        )
    if not rows:
        look = command("search", "status", run)
        raise EmofuseError(f"{run}: no trial ended yet; wait for the search, or see `{look}`.")
    return pd.DataFrame(rows).set_index("trial_key")


def _hyperparameters(run: Layout, trial: Ended) -> Mapping[str, Any]:
    if trial.status == "finished":
        return read_footer(run.prediction(trial.entry, trial.trial_key)).hyperparameters
    outcome = run.outcome(trial.trial_key)
    return outcome.hyperparameters if outcome else {}


def weights_frame(ensemble: "Ensemble") -> pd.DataFrame:
    """An ensemble's weights: a row per member, a column per class or dimension."""
    names = pd.Index([member.name for member in ensemble.members], name="member")
    return pd.DataFrame(ensemble.weights, index=names, columns=list(ensemble.outputs))


def scores_frame(ensemble: "Ensemble") -> pd.DataFrame:
    """An ensemble's scores beside those of its best single member and the plain average, by where they were measured.

    The index is (`who`, `measured_on`).
    """
    rows = [
        {
            "who": who,
            "measured_on": how,
            **_metrics(ensemble, measured),
            **bounds(measured.intervals.get("ccc") if ensemble.over_time else measured.interval),
            "n_clips": measured.n_clips,
            "n_groups": measured.n_groups,
        }
        for who in who_names(ensemble)
        for how in HOWS
        if (measured := ensemble.scores.get(who, {}).get(how)) is not None
    ]
    return pd.DataFrame(rows).set_index(["who", "measured_on"])


def _metrics(ensemble: "Ensemble", measured: "Measured") -> Mapping[str, float]:
    if ensemble.over_time is not None:
        return measured.metrics
    return {name: measured.metrics[name] for name in METRICS if name in measured.metrics}


def choice_frame(ensemble: "Ensemble") -> pd.DataFrame:
    """What `auto` chose among, indexed by the fusion's name."""
    columns = ["fusion", "metric", "value", "low", "high", "gain", "error", "setting", "chosen"]
    rows = [
        [
            one.name,
            one.metric,
            one.value,
            *bounds(one.interval).values(),
            one.gain,
            one.error,
            one.setting,
            one.chosen,
        ]
        for one in ensemble.choice
    ]
    return pd.DataFrame(rows, columns=columns).set_index("fusion")


def bounds(interval: "Interval | None", prefix: str = "") -> dict[str, float]:
    """`low` and `high` of an interval, NaN without one."""
    nan = float("nan")
    low, high = (interval.low, interval.high) if interval else (nan, nan)
    return {f"{prefix}low": low, f"{prefix}high": high}
