"""A run's trials as runs of Weights & Biases: one group, a run for each trial and one for the search."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from features.errors import MachineFault
from features.files import content_key
from features.progress import progress
from search.watch.tracked_trials import TrackedTrial

_LEDGER = "emofuse_exported.jsonl"


def write_wandb(trials: Sequence[TrackedTrial], name: str, folder: Path, project: str, online: bool = False) -> int:
    """Write the trials as W&B runs below `folder`, group `name`; the number of new ones.

    Without `online` nothing is sent: `wandb sync` does it later. What was written is noted in `folder`, so that the
    same export again adds only what is new. MachineFault where W&B isn't installed.
    """
    try:
        import wandb
    except ModuleNotFoundError:
        raise MachineFault(
            "--to wandb needs wandb, which is not installed: run pip install 'emofuse[tracking]'."
        ) from None
    folder.mkdir(parents=True, exist_ok=True)
    known = _read(folder / _LEDGER)
    new = [trial for trial in trials if known.get(_id(name, trial.trial_key)) != trial.status]
    settings = wandb.Settings(
        silent=True, console="off", save_code=False, disable_git=True, x_disable_stats=True, x_disable_meta=True
    )
    common = {
        "project": project,
        "group": name,
        "dir": str(folder),
        "mode": "online" if online else "offline",
        "settings": settings,
        "resume": "allow" if online else None,
    }
    with progress("export trials", len(new)) as counter:
        for trial in new:
            _trial(wandb, common, name, trial)
            _note(folder / _LEDGER, _id(name, trial.trial_key), trial.status)
            counter.advance()
    if new:
        _search(wandb, common, name, trials)
    return len(new)


def _id(name: str, key: str) -> str:
    """W&B allows 64 characters of few kinds."""
    return content_key({"run": name, "key": key})[:32]


def _trial(wandb: Any, common: Mapping[str, Any], name: str, trial: TrackedTrial) -> None:
    config = {
        "trial_key": trial.trial_key,
        "config_key": trial.config_key,
        "entry": trial.entry,
        "family": trial.family,
        "partition": trial.partition,
        **trial.facts,
        **trial.hyperparameters,
    }
    run = wandb.init(
        id=_id(name, trial.trial_key),
        name=trial.name,
        job_type=trial.entry,
        config=config,
        tags=[trial.status],
        **common,
    )
    for row in trial.curve:
        run.log({key: value for key, value in row.items() if key != "epoch"}, step=int(row["epoch"]))
    run.summary.update({f"final/{key}": value for key, value in trial.metrics.items()})
    run.summary.update({"status": trial.status, "reason": trial.reason, "wall_s": trial.wall_s})
    run.finish(exit_code=1 if trial.status == "failed" else 0)


def _search(wandb: Any, common: Mapping[str, Any], name: str, trials: Sequence[TrackedTrial]) -> None:
    run = wandb.init(id=_id(name, "search"), name=name, job_type="search", **common)
    for status in ("finished", "failed", "pruned"):
        run.summary[status] = sum(trial.status == status for trial in trials)
    run.finish()


def _read(path: Path) -> dict[str, str]:
    """Status by id of what was written; a line that a kill cut off is passed over."""
    known: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            known.update({str(key): str(value) for key, value in json.loads(line).items()})
        except ValueError:
            continue
    return known


def _note(path: Path, key: str, status: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({key: status}) + "\n")
        file.flush()
        os.fsync(file.fileno())
