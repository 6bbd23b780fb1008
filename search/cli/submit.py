"""`emofuse search submit`: a search as a job of a Ray cluster."""

import sys
from typing import Annotated

import typer

from features.workers.ray_access import AllowOpen
from search.cli.recipes import RecipeFile


def submit(
    recipe: RecipeFile,
    address: Annotated[str, typer.Option(help="The cluster's job server: http://HEAD:8265.")],
    clips: Annotated[str, typer.Option(help="The clip table, where the nodes see it.")],
    features: Annotated[str, typer.Option("--store", "--features", help="The feature store, where the nodes see it.")],
    out: Annotated[str, typer.Option("--out", "-o", help="The run's folder or URI, where the nodes see it.")],
    stills: Annotated[str | None, typer.Option(help="The table of stills, where the nodes see it.")] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ENTRY=FILE", help="Pretrained weights of a backbone, or RUN:ENTRY for a run's best; repeatable."
        ),
    ] = None,
    hours: Annotated[float | None, typer.Option(min=0, help="As of search run.")] = None,
    allow_open: AllowOpen = False,
    follow: Annotated[bool, typer.Option(help="Show the job's log until it ends.")] = True,
    stop: Annotated[bool, typer.Option("--stop", help="Stop the run's job instead; nothing is lost.")] = False,
) -> None:
    """Run a search on a cluster as a job; the same command follows it again, or continues a run that was stopped.

    Example:  emofuse search submit recipes/start.yaml --address http://127.0.0.1:8265 --clips /mnt/clips.parquet
    --store /mnt/store -o /mnt/runs/first
    """
    from features.errors import EmofuseError
    from features.plugins.files import files
    from features.progress import say
    from search.cluster import submit as job_of
    from search.recipe.recipe import recipe_of_data
    from search.recipe.yaml_files import read_yaml

    root = job_of.tree_root()
    asked = recipe_of_data(read_yaml(recipe, "a recipe"), str(recipe))
    name = asked.name
    options = tuple(part for pair in weights or [] for part in ("--weights", pair))
    options += ("--hours", f"{hours:g}") if hours is not None else ()
    options += ("--allow-open-cluster",) if allow_open else ()
    job_of.inside(root, [recipe.parent / file for file in asked.plugins])
    options += tuple(part for file in job_of.inside(root, files()) for part in ("--plugin", file))
    order = job_of.Order(recipe, clips, features, out, stills, options)
    order.entrypoint(root)
    jobs = job_of.connect(address, allow_open)
    with job_of.obeying(address):
        job = job_of.active_job(jobs, out)
        if stop:
            if job is None:
                raise EmofuseError(f"{out}: no job at {address} works on this run, so there is nothing to stop.")
            say(f"{job}: {job_of.stop(jobs, job).lower()}; the same command without --stop continues the run")
            return
        if job is None:
            job = job_of.submit(jobs, order, name, root)
            say(f"submitted {job}")
        else:
            say(f"{job} works on {out} already")
        if not follow:
            say(f"see {address} (Jobs), or run the same command to follow its log")
            return
        try:
            status = job_of.follow(jobs, job, lambda text: print(text, end="", file=sys.stdout, flush=True))
        except KeyboardInterrupt:
            say(f"{job} goes on without being watched; the same command follows it again, with --stop it stops")
            return
        if status == "STOPPED":
            say(f"{job} was stopped; the same command continues the run")
        elif status != "SUCCEEDED":
            raise EmofuseError(f"{job}: {status.lower()}: {job_of.why(jobs, job)}; its log stands above.")
