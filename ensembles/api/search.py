"""A search from a notebook or a script."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ensembles.api.places import place_name, use_plugins
from ensembles.api.run import Run

__all__ = ["search"]


def search(
    recipe: str | Path | Mapping[str, Any],
    *,
    clips: str | Path,
    features: str | Path,
    out: str | Path,
    stills: str | Path | None = None,
    weights: Mapping[str, str | Path] | None = None,
    address: str | None = None,
    cpus: int | None = None,
    max_concurrent: int | None = None,
    in_process: bool = False,
    allow_open: bool = False,
    retry_failed: bool = False,
    hours: float | None = None,
    plugins: Sequence[str | Path] = (),
) -> Run:
    """Start a search, or resume or extend the one that lies at `out`, and return when all its trials have ended.

    It works inside a running event loop (a notebook) and in a script without a `__main__` guard. Interrupting it
    (Ctrl-C, a notebook's stop button) lets the running epochs end and raises KeyboardInterrupt; the same call goes on.

    Parameters
    ----------
    recipe : str, Path or mapping
        The recipe's YAML file, or what would stand in it, whose relative paths start at the working directory.
    clips : str or Path
        The clip table.
    features : str or Path
        The feature store of these clips.
    out : str or Path
        The run's folder, or a URI (`s3://bucket/run`).
    stills : str or Path, optional
        The table of stills that backbones are trained on.
    weights : mapping of str to path, optional
        Pretrained weights of backbones, by entry: files, or `RUN:ENTRY` for the best trial of another run's backbone.
    address : str, optional
        A Ray cluster to join ("auto", or host:port); it must reach these folders. Default: Ray on this machine.
    cpus : int, optional
        CPUs of this machine to use. Default: all.
    max_concurrent : int, optional
        Trials at once. Default: as many as the machines have room for.
    in_process : bool
        One trial after another in this process, without Ray.
    allow_open : bool
        Work on a cluster that asks nobody for a token, where whoever reaches it can run code.
    retry_failed : bool
        Try again the trials that failed before.
    hours : float, optional
        For how long the search may work on the run, all calls together. A later call with more goes on. Default: the
        recipe's `budget`, else as long as it takes.
    plugins : sequence of str or Path
        Files with plug-ins of yours, which stay in use from here on (the command's `--plugin`).

    Returns
    -------
    Run

    Raises
    ------
    EmofuseError
        Features are missing, the run belongs to other clips, or no trial of an entry finished.
    WrongUse
        A mistake in the recipe, or settings that exclude each other.

    Examples
    --------
    >>> import emofuse as ef
    >>> entries = {"centroid": {"configurations": 1}}
    >>> recipe = {"name": "tiny", "seed": 1, "stages": [{"stage": "clips", "entries": entries}]}
    >>> run = ef.search(recipe, clips="clips.parquet", features="store", out="runs/tiny", in_process=True)
    >>> len(run.trials())
    1
    """
    from features.progress import say
    from search.cluster.workers import Workers
    from search.recipe.reading import make_recipe, read_recipe
    from search.run.remote import search_path
    from search.runner import run_search
    from search.study.best import find_weights

    use_plugins(plugins)
    store = Path(features)
    files = find_weights([f"{entry}={place}" for entry, place in (weights or {}).items()])
    if isinstance(recipe, Mapping):
        asked = make_recipe(dict(recipe), "the recipe", Path.cwd(), store, files)
    else:
        asked = read_recipe(Path(recipe), store, files)
    status = run_search(
        asked.within(hours),
        clips=Path(clips),
        store=store,
        out=(folder := search_path(str(out))),
        stills=Path(stills) if stills is not None else None,
        workers=Workers(address, cpus, in_process, max_concurrent, allow_open, embedded=True),
        retry_failed=retry_failed,
    )
    status.check()
    ended = sum(entry.trials - entry.left for entry in status.entries)
    say(f"{ended} trials ended. The run lies in {place_name(folder)}")
    return Run(folder)
