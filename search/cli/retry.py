"""`emofuse search retry`: try failed trials again."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from features.progress import counted
from search.run.remote import run_path


def retry(
    run: Annotated[Path, typer.Argument(parser=run_path, metavar="RUN", help="The run's folder or URI.")],
    names: Annotated[list[str] | None, typer.Argument(metavar="[ENTRY|KEY]...", help="Which (default: all).")] = None,
    kinds: Annotated[
        list[str] | None,
        typer.Option("--kind", help="Only these: diverged, out_of_memory, hung, lost, error; repeatable."),
    ] = None,
) -> None:
    """Queue failed trials again; the next `emofuse search run` trains them, with the keys that they had.

    Example:  emofuse search retry run --kind hung --kind lost
    """
    from search.study.retries import retry_failed

    queued = retry_failed(run, names or [], kinds or [])
    if queued.again:
        kinds_of = Counter(outcome.kind or "error" for outcome in queued.again)
        told = ", ".join(f"{count} {kind}" for kind, count in kinds_of.most_common())
        print(f"Queued again: {counted(len(queued.again), 'trial')} ({told}). Next: the same emofuse search run again.")
    else:
        print("No failed trial is queued again.")
    if queued.foreign:
        print(f"{len(queued.foreign)} stay failed: the recipe asks for their configurations no more.")
