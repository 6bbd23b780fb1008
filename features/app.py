"""The commands `emofuse clips` and `emofuse features`."""

import inspect
import json
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from features.clips import SPLITS, ClipTable, check_clips, read_clips, write_clips
from features.datasets import Adapter, Option, dataset_names, get_adapter, make_clip_table, plugged_datasets
from features.errors import EmofuseError
from features.progress import say
from features.terminal import Table, command, console, order
from features.workers.ray_access import AllowOpen

clips_app = typer.Typer(help="Make a clip table from a data set's folders.", no_args_is_help=True, add_completion=False)
features_app = typer.Typer(
    help="Extract features, import your own, list a store.", no_args_is_help=True, add_completion=False
)

_SHOWN_COLUMNS = 10
_OWN = ("folder", "table", "images")

ClipsFile = Annotated[Path, typer.Argument(help="The clip table, made by `emofuse clips`.", metavar="CLIPS")]
Store = Annotated[Path, typer.Option("-o", "--store", "--out", help="Folder of the feature store.")]


def _dataset_command(adapter: Adapter) -> None:
    """Offer an adapter as `emofuse clips NAME`, its options as flags."""

    def make(root: Path, out: Path, **values: Any) -> None:
        table = make_clip_table(adapter.name, root, out, **values)
        say(f"{out}: {_described(table)}\nNext: {command('clips', 'check', out)}")

    options = adapter.options
    parameters = [
        _parameter("root", Path, typer.Argument(help=adapter.root[0].upper() + adapter.root[1:] + ".", metavar="ROOT")),
        _parameter("out", Path, typer.Option("-o", "--out", help="The clip table to write, e.g. clips.parquet.")),
        *(
            _parameter(name, type(option.default), _flag(name, option), option.default)
            for name, option in options.items()
        ),
    ]
    make.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    make.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    text = adapter.summary
    text += f"\n\nWhere to get it: {adapter.access}." if adapter.access else ""
    text += f"\n\nExample: emofuse clips {adapter.example}"
    clips_app.command(adapter.name, help=text, short_help=adapter.summary, rich_help_panel=_panel(adapter.name))(make)


def _panel(name: str) -> str:
    if name.startswith("synthetic"):
        return "Made out of nothing"
    return "Clips of your own" if name in _OWN else "Published corpora"


def _parameter(name: str, kind: Any, how: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, how])


def _flag(name: str, option: Option) -> Any:
    choices = f" One of: {', '.join(option.choices)}." if option.choices else ""
    # A switch that is off has no --no- of its own: --no-media is not undone by --no-no-media.
    names = [f"--{name.replace('_', '-')}"] if option.default is False else []
    return typer.Option(*names, help=option.help + choices)


for _name in dataset_names():
    _dataset_command(get_adapter(_name))


def offer_plugins() -> None:
    """A command for each adapter of a plug-in; they become known when the command line is read."""
    offered = {command.name for command in clips_app.registered_commands}
    for name in plugged_datasets():
        if name not in offered:
            _dataset_command(get_adapter(name))


@clips_app.command("merge", rich_help_panel="Tables of clips")
def merge_command(
    tables: Annotated[list[Path], typer.Argument(help="Clip tables of the corpora.", metavar="CLIPS...")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The clip table to write, e.g. both.parquet.")],
    labels: Annotated[
        Path | None, typer.Option(help="YAML: for each corpus, or all, the common word for a label; empty: left out.")
    ] = None,
    name: Annotated[
        list[str] | None, typer.Option(help="A corpus's name, for each table in order; default: its data set's.")
    ] = None,
) -> None:
    """Make one clip table of several corpora's, to train across them; ids and groups begin with the corpus.

    Example: emofuse clips merge ravdess.parquet cremad.parquet -o both.parquet --labels labels.yaml
    """
    from features.merging import merge_tables, read_labels

    merged = merge_tables([read_clips(path) for path in tables], read_labels(labels) if labels else {}, name or ())
    check_clips(merged)
    write_clips(merged, out)
    say(f"{out}: {_described(merged)}\nNext: {command('clips', 'check', out)}")


@clips_app.command("check", rich_help_panel="Tables of clips")
def check_command(
    clips: ClipsFile,
    media: Annotated[bool, typer.Option("--media/--no-media", help="Look into every file.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
) -> None:
    """Look for leaks between splits, alike labels, rare classes and broken files, before hours go into them.

    It reads the first frame and two seconds of sound of each clip. The exit code is 1 where something has to be mended
    before a search.

    Example: emofuse clips check clips.parquet
    """
    from features.checking.check import balance_table, check
    from features.cores import cores

    table = read_clips(clips)
    checked = check(table, cores(), media)
    if as_json:
        print(json.dumps(checked.as_data(), indent=2))
    else:
        told = console()
        told.print(balance_table(table))
        if media:
            with_picture, with_sound = (
                sum(getattr(p, k) for p in checked.probes.values()) for k in ("picture", "sound")
            )
            told.print(f"{with_picture} of {len(table)} clips have a picture, {with_sound} have sound.", soft_wrap=True)
        for finding in checked.findings:
            told.print(f"{finding.level}: {finding.text}", soft_wrap=True, markup=False)
        told.print(_verdict(checked.errors, len(checked.findings) - checked.errors), soft_wrap=True)
        if media and not checked.errors:
            sets = ("functionals", "short_term") if with_sound else ("faces",)
            chosen = [word for name in sets for word in ("-s", name)]
            say(f"Next: {command('features', 'extract', clips, *chosen, '-o', 'store')}")
    if checked.errors:
        raise typer.Exit(1)


order(clips_app, *_OWN, "check", "merge")


def _verdict(errors: int, warnings: int) -> str:
    if errors:
        return "Mend the errors before a search: it refuses leaks, and passes over clips that can't be read."
    return "Nothing speaks against a search." if warnings else "Nothing was found."


def _described(table: ClipTable) -> str:
    sizes = Counter(clip.split for clip in table.clips)
    splits = ", ".join(f"{sizes[split]} {split}" for split in SPLITS if sizes[split])
    groups = len({clip.group_id for clip in table.clips})
    text = f"{len(table)} clips ({splits}), {groups} groups"
    if table.classes or table.annotations is None:
        text += f", {len(table.classes)} classes: {', '.join(table.classes)}"
    if table.annotations:
        every = f"every {table.annotations.step_s:g} s"
        text += f", {len(table.annotations.series)} annotated {every}: {', '.join(table.annotations.dimensions)}"
    return text


@features_app.command("extract")
def extract_command(
    clips: ClipsFile,
    store: Store,
    sets: Annotated[list[str], typer.Option("-s", "--set", help="A set, e.g. is10 or faces:size=64; repeatable.")],
    workers: Annotated[int | None, typer.Option(min=0, help="Processes; 0 = in this one, default: every core.")] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try again the clips that failed.")] = False,
    address: Annotated[
        str | None, typer.Option(help="A Ray cluster to work on (auto, or host:port); it must reach media and store.")
    ] = None,
    allow_open: AllowOpen = False,
) -> None:
    """Extract feature sets for all clips; run it again to go on after an interruption.

    Example: emofuse features extract clips.parquet -s is10 -s faces:size=48 -o store
    """
    from features.extract import extract

    table = read_clips(clips)
    summaries = extract(
        table, sets, store, workers=workers, retry_failed=retry_failed, address=address, allow_open=allow_open
    )
    for summary in summaries:
        summary.check()
    searched = command("search", "run", "RECIPE", "--clips", clips, "--store", store, "-o", "runs/first")
    say(f"Next, with a recipe that reads them (see emofuse recipes): {searched}")


@features_app.command("import")
def import_command(
    clips: ClipsFile,
    source: Annotated[Path, typer.Argument(help="Your arrays: .npz, .csv or .parquet.")],
    name: Annotated[str, typer.Option(help="What the set is called from now on.")],
    level: Annotated[str, typer.Option(help="clip: one vector per clip; frame: a sequence of time steps.")],
    store: Store,
    step_s: Annotated[float, typer.Option(help="Seconds between time steps where the file has no time_s.")] = 1.0,
    max_gb: Annotated[float, typer.Option(min=0, help="Refuse a file whose arrays take more GB than this.")] = 8.0,
) -> None:
    """Bring your own arrays into the store: one vector per clip, or a sequence of time steps.

    Example: emofuse features import clips.parquet embeddings.npz --name wav2vec --level frame -o store
    """
    from features.imports import import_arrays

    stored = import_arrays(read_clips(clips), name, source, level, store, step_s=step_s, max_gb=max_gb)
    have = sum(stored.has(clip_id) for clip_id in stored.ids)
    missing = f", {len(stored) - have} without features" if have < len(stored) else ""
    columns = ", ".join(stored.info.columns[:_SHOWN_COLUMNS])
    more = ", ..." if len(stored.info.columns) > _SHOWN_COLUMNS else ""
    named = f", columns {columns}{more}" if columns else ""
    say(f"{name}: {have} clips{missing}, each time step {stored.shape} {stored.dtype}{named}")


@features_app.command("register")
def register_command(
    clips: ClipsFile,
    faces: Annotated[str, typer.Option("-s", "--set", help="Its extracted faces, e.g. faces:detector=none.")],
    store: Store,
    reference: Annotated[Path, typer.Option(help="The clip table of the data set whose faces are the measure.")],
    reference_set: Annotated[str, typer.Option(help="Its faces in the store: extracted, or imported.")],
    images: Annotated[int, typer.Option(min=1, help="How many training faces of each are measured.")] = 1000,
) -> None:
    """Measure how a data set's faces have to move to lie as another's do (Kahou 2015); print the spec that does it.

    Example: emofuse features register sfew.parquet -s faces:detector=none -o st --reference f.parquet --reference-set f
    """
    from features.faces.register import registered_spec
    from features.store.store import open_set

    table, other = read_clips(clips), read_clips(reference)
    measure = open_set(store, reference_set, other)
    print(registered_spec(open_set(store, faces, table), table, measure, other, images))


@features_app.command("ls")
def ls_command(store: Annotated[Path, typer.Argument(help="Folder of the feature store.")]) -> None:
    """List the sets of a store: how many clips, what shape, what size.

    Example: emofuse features ls store
    """
    from features.store.store import StoredSet, set_folders

    if not store.is_dir():
        raise EmofuseError(f"{store}: no such folder, expected a feature store; `emofuse features extract` makes one.")
    table = Table("set", "key", "clips ok", "failed", "time step", "MB")
    for folder in set_folders(store):
        try:
            stored = StoredSet(folder)
        except EmofuseError:
            table.add_row(folder.parent.name, folder.name[:12], "damaged", "", "", "")
            continue
        info = stored.info
        ok = sum(stored.has(clip_id) for clip_id in stored.ids)
        size_mb = (folder / "data.arrow").stat().st_size / 1e6
        shape = f"{'x'.join(map(str, info.shape))} {info.dtype}"
        table.add_row(info.spec, info.key[:12], str(ok), str(len(stored) - ok), shape, f"{size_mb:.1f}")
    console(wide=None).print(table)


@features_app.command("sets")
def sets_command() -> None:
    """List the feature sets that can be extracted, with their parameters.

    Example: emofuse features sets
    """
    from features.sets import get_set, set_names, set_origin

    table = Table("set", "level", "what", "parameters", "needs")
    for name in set_names():
        feature_set = get_set(name)
        defaults = {k: str(v).lower() if isinstance(v, bool) else v for k, v in feature_set.params.items()}
        params = ", ".join(f"{key}={value}" for key, value in defaults.items())
        needs = f"extra {feature_set.extra}" if feature_set.extra else ""
        level = "clip or frame" if feature_set.levels else feature_set.level
        table.add_row(name, level, feature_set.summary, params, needs)
    console(wide=None).print(table)
    for name in set_names():
        if origin := set_origin(name):
            print(f"{name} is a plug-in's: {origin}")
