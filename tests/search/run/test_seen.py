"""A backbone, or weights of another run, that saw clips which are held out here."""

from dataclasses import replace

import pytest
from small_world import corpus, message, recipe_file

from features.clips import ClipTable, read_clips, write_clips
from search.recipe.reading import read_recipe
from search.run.folder import RunFolder
from search.trial.trial import run_trial

BACKBONE = {"stage": "backbone", "entries": {"toy_cnn": {"configurations": 1}}}
LAYERS = {"stage": "clips", "entries": {"pooled": {"configurations": 1}}}
OTHER = {"stage": "clips", "entries": {"centroid": {"configurations": 1}}}
TRAIN, SWAP, FOLDS = ["train"], ["swap"], [{"folds": 2}]


def changed(folder, table, name, change):
    """A copy of the stills' table with each clip changed by `change(clip, the clip of its place)`."""
    own, theirs = read_clips(table), read_clips(folder / "clips.parquet")
    clips = tuple(change(a, b) for a, b in zip(own.clips, theirs.clips, strict=True))
    write_clips(ClipTable(clips, folder), folder / f"{name}.parquet")
    return folder / f"{name}.parquet"


def prepare(folder, stills, stages=(BACKBONE, LAYERS), **changes):
    recipe = read_recipe(recipe_file(folder, stages=list(stages), **changes))
    return RunFolder.prepare(folder / "run", recipe, folder / "clips.parquet", folder / "store", stills)


@pytest.fixture
def tables(tmp_path, world):
    corpus(tmp_path)
    return tmp_path, corpus(tmp_path, "stills")


SAME = {
    "clip_id": lambda still, clip: replace(still, clip_id=clip.clip_id),
    "media": lambda still, clip: replace(still, media_sha256=clip.media_sha256),
    "group 'train0'": lambda still, clip: replace(still, group_id=clip.group_id),
}


@pytest.mark.parametrize("partitions", [SWAP, FOLDS], ids=str)
@pytest.mark.parametrize("kind", SAME)
def test_stills_that_are_held_out_are_refused(tables, kind, partitions):
    folder, stills = tables
    shared = changed(folder, stills, "shared", SAME[kind])
    told = message(prepare, folder, shared, partitions=partitions)
    assert told.startswith("A backbone is fitted on '") and " of the stills, and partition " in told
    assert f" of the same {kind.partition(' ')[0]}" in told
    assert "Choose other stills or weights, or partitions that hold out other clips" in told
    assert not (folder / "run").exists()


def test_the_clips_as_stills_serve_the_partition_that_fits_the_same_ones(tables):
    folder, _ = tables
    clips = folder / "clips.parquet"
    assert prepare(folder, clips, partitions=TRAIN).recipe.partition_names("clips") == ("train",)
    told = message(prepare, folder, clips, partitions=["train", "swap"])
    assert told == (
        "A backbone is fitted on 'clips-train-0' of the stills, and partition 'swap' holds out 'clips-train-0' of the "
        "same clip_id: what reads its layers or weights would know that clip. Choose other stills or weights, or "
        "partitions that hold out other clips."
    )


@pytest.mark.parametrize(("split", "verb"), [("train", "fitted"), ("val", "stopped")])
def test_test_clips_among_the_stills_are_refused(tables, split, verb):
    folder, stills = tables
    test = read_clips(folder / "clips.parquet").split("test")[0]
    shared = changed(
        folder,
        stills,
        "shared",
        lambda still, _: (
            replace(still, media_sha256=test.media_sha256) if still.clip_id == f"stills-{split}-0" else still
        ),
    )
    told = message(prepare, folder, shared)
    assert told.startswith(
        f"A backbone is {verb} on 'stills-{split}-0' of the stills, and the test split has 'clips-test-0'"
    )


def test_groups_may_be_shared_where_the_recipe_says_so_but_never_clips(tables):
    folder, stills = tables
    shared = changed(folder, stills, "shared", SAME["group 'train0'"])
    assert "`allow_shared_groups: true`" in message(prepare, folder, shared, partitions=SWAP)
    prepare(folder, shared, partitions=SWAP, allow_shared_groups=True)
    shared = changed(folder, stills, "same", SAME["clip_id"])
    assert "of the same clip_id" in message(prepare, folder, shared, partitions=SWAP, allow_shared_groups=True)


def test_where_nothing_reads_the_backbone_nothing_leaks(tables):
    folder, _ = tables
    prepare(folder, folder / "clips.parquet", stages=(BACKBONE, OTHER), partitions=SWAP)


def test_weights_of_a_run_that_saw_the_clips_are_refused(tables, monkeypatch):
    from small_world import FAMILIES

    from search.study.plan import entry_spec

    folder, stills = tables
    monkeypatch.setitem(FAMILIES, "toy_cnn", replace(FAMILIES["toy_cnn"], weights=True))
    first = prepare(folder, folder / "clips.parquet", stages=(BACKBONE,))
    stage, entry = first.recipe.entry("toy_cnn")
    spec = entry_spec(first, stage, entry).at(entry.complete(entry.published_points()[0]), "stills")
    assert run_trial(spec).status == "finished"
    weights = first.model_folder(spec.trial_key) / "model.safetensors"
    weights.write_bytes(b"")
    (folder / "run").rename(folder / "first")
    weights = folder / "first" / weights.relative_to(first.path)
    stage = {"stage": "backbone", "entries": {"toy_cnn": {"configurations": 1, "weights": str(weights)}}}
    told = message(prepare, folder, stills, stages=(stage, LAYERS), partitions=SWAP)
    assert told.startswith(
        f"A backbone is fitted on 'clips-train-0' of the stills of {folder / 'first'}, and partition"
    )
    # Without the table, ids and groups are known all the same; where they aren't held out, there is no leak.
    (folder / "clips.parquet").rename(folder / "kept.parquet")
    corpus(folder)
    assert prepare(folder, stills, stages=(stage, LAYERS), partitions=TRAIN)
