"""`emofuse search ...`: run a search, see how it stands."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.workers.ray_access import AllowOpen
from search.cli.doctor import doctor
from search.cli.export import export
from search.cli.recipes import RecipeFile
from search.cli.relocate import relocate
from search.cli.replay import replay
from search.cli.retry import retry
from search.cli.status import status
from search.cli.submit import submit
from search.run.remote import search_path, shown

if TYPE_CHECKING:
    from search.cluster.workers import Workers

search_app = typer.Typer(no_args_is_help=True, add_completion=False, help="Run and watch searches over families.")
search_app.command()(status)
search_app.command()(submit)
search_app.command()(retry)
search_app.command()(replay)
search_app.command()(relocate)
search_app.command()(export)
search_app.command()(doctor)


@search_app.command()
def run(
    recipe: RecipeFile,
    clips: Annotated[Path | None, typer.Option(help="The clip table.")] = None,
    features: Annotated[
        Path | None, typer.Option("--store", "--features", help="The feature store of these clips.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", parser=search_path, metavar="RUN", help="The run's folder, or s3://bucket/run."),
    ] = None,
    stills: Annotated[Path | None, typer.Option(help="The table of stills that backbones are trained on.")] = None,
    address: Annotated[
        str | None, typer.Option(help="A Ray cluster to join (auto, or host:port); it must reach these folders.")
    ] = None,
    allow_open: AllowOpen = False,
    cpus: Annotated[int | None, typer.Option(min=1, help="CPUs of this machine to use (default: all).")] = None,
    max_concurrent: Annotated[
        int | None, typer.Option(min=1, help="Trials at once (default: as many as the machines have room for).")
    ] = None,
    in_process: Annotated[bool, typer.Option("--in-process", help="One trial after another, without Ray.")] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="As after search retry.")] = False,
    hours: Annotated[
        float | None,
        typer.Option(min=0, help="For how long the search may work on the run, all calls together (see `budget`)."),
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ENTRY=FILE", help="Pretrained weights of a backbone, or RUN:ENTRY for a run's best; repeatable."
        ),
    ] = None,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="Try the recipe on made-up clips with tiny sizes, in minutes.")
    ] = False,
) -> None:
    """Start a search; the same command resumes one that was stopped, and extends one whose recipe asks for more.

    Example:  emofuse search run recipes/ravdess_audio.yaml --clips clips.parquet --store store -o run

    To see whether a recipe works at all:  emofuse search run recipes/ravdess_audio.yaml --smoke
    """
    from features.errors import WrongUse
    from search.cluster.workers import Workers
    from search.recipe.reading import read_recipe
    from search.runner import run_search
    from search.study.best import find_weights
    from search.watch.status_view import spent_text, table

    workers = Workers(address, cpus, in_process, max_concurrent, allow_open)
    if smoke:
        given = {"--hours": hours, "--clips": clips, "--store": features, "--stills": stills, "--weights": weights}
        if wrong := [name for name, value in given.items() if value]:
            raise WrongUse(f"--smoke makes its own clips and stills: leave out {' and '.join(wrong)}.")
        _try_out(recipe, out, workers)
        return
    if clips is None or features is None or out is None:
        needed = {"--clips": clips, "--store": features, "-o": out}
        missing = " and ".join(name for name, value in needed.items() if value is None)
        raise WrongUse(f"A search needs {missing}; to try the recipe on made-up clips instead, give --smoke.")
    status = run_search(
        read_recipe(recipe, features, find_weights(weights or [])).within(hours),
        clips=clips,
        store=features,
        out=out,
        stills=stills,
        workers=workers,
        retry_failed=retry_failed,
    )
    print(f"{table(status)}\n\n{spent_text(status)}")
    status.check()
    print(f"\n{status.following(shown(out))}")


def _try_out(recipe: Path, out: Path | None, workers: "Workers") -> None:
    """Run a recipe on made-up clips in `out`, a new temporary folder by default."""
    import tempfile
    from contextlib import nullcontext

    from features.disk.scratch import clear_left_behind, unfinished
    from search.smoke import read_smoke_recipe, run_smoke
    from search.watch.status_view import table

    small = read_smoke_recipe(recipe)
    clear_left_behind(Path(tempfile.gettempdir()))
    folder = out or Path(tempfile.mkdtemp(prefix="emofuse-smoke-"))
    with unfinished(folder) if out is None else nullcontext():
        status = run_smoke(small, folder / "data", folder / "run", workers)
    print(table(status))
    status.check()
    print(f"\nThe recipe works: its clips, features and run lie in {folder}")


@search_app.command()
def families(
    name: Annotated[str | None, typer.Argument(help="One family, in full (default: all, a line each).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the architecture families: paper, inputs, search space, published values.

    Example:  emofuse search families cnn_irnn
    """
    from models.registry import all_families, family_origin, get_family
    from search.recipe.catalogue import described, family_as_data

    chosen = list(all_families().values()) if name is None else [get_family(name)]
    if as_json:
        print(json.dumps([family_as_data(family) for family in chosen], indent=2))
    elif name is not None:
        print(described(chosen[0]))
    else:
        width = max(len(family.name) for family in chosen)
        for family in chosen:
            origin = f" [{family_origin(family.name)}]" if family_origin(family.name) else ""
            print(f"{family.name:<{width}}  {family.stage:<8}  {family.paper}: {family.summary}{origin}")
