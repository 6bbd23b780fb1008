"""Clip tables and features."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ensembles.api.places import use_plugins

if TYPE_CHECKING:
    import pandas as pd

    from features.datasets import Value

__all__ = ["clips", "extract"]


def clips(
    dataset: str, root: str | Path, out: str | Path, *, plugins: Sequence[str | Path] = (), **options: "Value"
) -> "pd.DataFrame":
    """Make a clip table from a data set's folders, check it and write it.

    Parameters
    ----------
    dataset : str
        The layout: afew, ravdess, sewa, fer2013, images, table (a CSV or Parquet of your own), synthetic (generated
        clips) and others, as `emofuse clips --help` lists them.
    root : str or Path
        The data set's folder; the file of a `table`; where `synthetic` puts its media.
    out : str or Path
        The clip table to write, a Parquet file.
    plugins : sequence of str or Path
        Files with plug-ins of yours, which stay in use from here on (the command's `--plugin`).
    **options
        Options of the data set, as `emofuse clips DATASET --help` lists them (underscores for dashes).

    Returns
    -------
    pandas.DataFrame
        The table: a row per clip, indexed by `clip_id`, with `path`, `split` (train, val, test), `label`, `group_id`,
        `start_s`, `end_s` (seconds; NaN: to the end), `dataset` and `media_sha256`.

    Raises
    ------
    EmofuseError
        A table that can't be trained on: the first offending clips are named.
    WrongUse
        An unknown data set or option.

    Examples
    --------
    >>> import emofuse as ef, pandas as pd
    >>> rows = [("a", "a.mp4", "train", "angry", "ann"), ("b", "b.mp4", "val", "angry", "bob")]
    >>> mine = pd.DataFrame(rows, columns=["clip_id", "path", "split", "label", "group_id"])
    >>> mine.to_csv("mine.csv", index=False)
    >>> ef.clips("table", "mine.csv", "mine.parquet")["split"].tolist()
    ['train', 'val']
    """
    import pandas as pd

    from features.clips import SCHEMA, read_clips
    from features.datasets import make_clip_table

    use_plugins(plugins)
    make_clip_table(dataset, Path(root), Path(out), **options)
    rows = [[getattr(clip, name) for name in SCHEMA.names] for clip in read_clips(Path(out)).clips]
    return pd.DataFrame(rows, columns=SCHEMA.names).set_index("clip_id")


def extract(
    clips: str | Path,
    sets: str | Sequence[str],
    store: str | Path,
    *,
    workers: int | None = None,
    address: str | None = None,
    allow_open: bool = False,
    retry_failed: bool = False,
    plugins: Sequence[str | Path] = (),
) -> "pd.DataFrame":
    """Extract feature sets of all clips into a store; the same call goes on after an interruption.

    A clip that can't be read, has no sound or shows no face is a row with a reason in the store, never the end.

    Parameters
    ----------
    clips : str or Path
        The clip table.
    sets : str or sequence of str
        Feature sets, as `functionals` or `faces:size=64`; `emofuse features sets` lists them.
    store : str or Path
        The feature store's folder.
    workers : int, optional
        Processes; 0: in this one. Default: one for each core.
    address : str, optional
        A Ray cluster to work on ("auto", or host:port); it must reach media and store.
    allow_open : bool
        Work on a cluster that asks nobody for a token, where whoever reaches it can run code.
    retry_failed : bool
        Try again the clips that failed.
    plugins : sequence of str or Path
        Files with plug-ins of yours, which stay in use from here on (the command's `--plugin`).

    Returns
    -------
    pandas.DataFrame
        A row per set, indexed by `set`: `key` (its folder in the store), `ok` and `failed` (numbers of clips),
        `seconds`, `skipped` (whether all was there already), `first_reason` (why the first clip failed; None where
        none did).

    Raises
    ------
    EmofuseError
        No clip gave features, or the store can't be written.
    WrongUse
        An unknown set or parameter, or settings that exclude each other.

    Examples
    --------
    >>> import emofuse as ef
    >>> ef.extract("clips.parquet", "vec:size=4", "store", workers=0).loc["vec", "ok"].item()
    20
    """
    import pandas as pd

    from features.clips import read_clips
    from features.extract import extract

    use_plugins(plugins)
    specs = [sets] if isinstance(sets, str) else list(sets)
    rows = []
    summaries = extract(
        read_clips(Path(clips)),
        specs,
        Path(store),
        workers=workers,
        retry_failed=retry_failed,
        address=address,
        allow_open=allow_open,
    )
    for summary in summaries:
        summary.check()
        rows.append(
            {
                "set": summary.spec,
                "key": summary.key,
                "ok": summary.ok,
                "failed": len(summary.failures),
                "seconds": summary.seconds,
                "skipped": summary.skipped,
                "first_reason": ": ".join(summary.failures[0][1:]) if summary.failures else None,
            }
        )
    return pd.DataFrame(rows).set_index("set")
