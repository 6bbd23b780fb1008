from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_world import message

from features.clips import Clip, ClipTable
from features.errors import EmofuseError
from search.run.partitions import make_partition


def table(*rows: str, **changes) -> ClipTable:
    """Clips from `split label group` texts, called c0, c1, ...; `-` is no label."""
    fields = [row.split() for row in rows]
    clips = [
        Clip(f"c{i}", None, split, None if label == "-" else label, group)
        for i, (split, label, group) in enumerate(fields)
    ]
    return ClipTable(tuple(replace(c, **changes.get(c.clip_id, {})) for c in clips), Path("/"))


SMALL = ("train a 1", "train b 2", "val a 3", "val b 4", "test - 5")


def make(rows=SMALL, name="train", changes=None, **options):
    return make_partition(table(*rows, **(changes or {})), name, seed=0, **options)


@pytest.mark.parametrize(
    ("name", "fit", "held_out"),
    [
        ("train", "c0 c1", "c2 c3"),
        ("swap", "c2 c3", "c0 c1"),
        ("stills", "c0 c1", "c2 c3"),
        ("full", "c0 c1 c2 c3", ""),
    ],
)
def test_sides(name, fit, held_out):
    partition = make(name=name)
    sides = partition.fit_ids, partition.held_out_ids, partition.test_ids
    assert sides == (tuple(fit.split()), tuple(held_out.split()), ("c4",))
    assert partition.roles()["c4"] == "test"


@pytest.mark.parametrize(
    ("rows", "name", "told"),
    [
        (
            ["train a 1", "train b 2", "val a 1"],
            "train",
            "Partition 'train': a group lies on one side only, but '1' is on the fit side with clip 'c0' and on the "
            "held-out side with clip 'c2'; give such clips one split, or set `allow_shared_groups: true` in the recipe "
            "if the official split is made so.",
        ),
        (
            ["train a 1", "val a 2", "test a 2", "test a 1"],
            "train",
            "Partition 'train': a group lies on one side only, but '1' is on the fit side with clip 'c0' and",
        ),
        (
            ["train a 1", "test a 1"],
            "full",
            "Partition 'full': a group lies on one side only, but '1' is on the fit side with clip 'c0' and",
        ),
        (
            ["train a 1", "train - 2", "val a 3"],
            "train",
            "Partition 'train': clips of the splits train and val need a label, but 'c1' has none.",
        ),
        (
            ["train a 1", "test a 3"],
            "train",
            "Partition 'train': its held-out side is empty, so nothing can be stopped on; the clip table has 1 train "
            "and 0 val clips.",
        ),
        (["train a 1"], "swap", "Partition 'swap': its fit side is empty, so nothing can be fitted on; the clip table"),
        (
            ["train a 1", "train b 1", "val a 2"],
            "swap",
            "Partition 'swap': every class needs a clip on the fit side, but there is none of b.",
        ),
        (
            ["train a 1", "val a 2"],
            "trian",
            "Unknown partition 'trian': known are fold-0-of-4, full, stills, swap, train. Did you mean 'train'?",
        ),
        (
            ["train a 1", "train b 2", "val c 3"],
            "fold-0-of-3",
            "Partition 'fold-0-of-3': 3 folds need a class of 3 clips or more, but the largest has 1.",
        ),
        (
            ["train a 1", "val a 2"],
            "fold-0-of-3",
            "Partition 'fold-0-of-3': 3 folds need 3 groups or more in train and val, but there are 2.",
        ),
        (
            ["train a 1", "val a 2"],
            "fold-2-of-2",
            "Partition 'fold-2-of-2': expected fold-k-of-n with n of at least 2 and k from 0 to n - 1.",
        ),
    ],
)
def test_sides_that_depend_on_each_other_are_refused(rows, name, told):
    assert message(make, rows, name).startswith(told)


def test_the_same_media_on_two_sides_is_refused():
    same = {"c0": {"media_sha256": "x"}, "c3": {"media_sha256": "x"}, "c1": {"media_sha256": "y"}}
    told = "Partition '{}': fit clip 'c0' and held-out clip 'c3' have the same media bytes; leave one of the two out"
    for name in ("train", "stills"):
        refused = message(make, name=name, changes=same)
        assert refused.startswith(told.format(name)) and "allow_shared_groups" not in refused
    parts = {**same, "c3": {"media_sha256": "x", "start_s": 2.0, "path": "m.mp4"}}
    told = "'train': fit clip 'c0' and held-out clip 'c3' (m.mp4) are parts of the same media; give such"
    assert told in message(make, changes=parts)
    assert make(changes=same, allow_shared_groups=True).held_out_ids == ("c2", "c3")


def test_pictures_on_two_sides_are_named_and_nothing_is_switched_off():
    stills = {c: {"media_sha256": "x", "group_id": "image-x", "path": f"{c}.png"} for c in ("c0", "c1", "c2", "c3")}
    refused = message(make, name="stills", changes=stills)
    assert "fit clip 'c0' (c0.png) and held-out clip 'c2' (c2.png) have the same media bytes (and 1 more)" in refused
    assert "`--duplicates drop`" in refused and "image-x" not in refused and "allow_shared_groups" not in refused
    refused = message(make, ["train a 1", "val a 1"], "stills")
    assert refused.endswith("with clip 'c1'; give such clips one split.")


def test_official_splits_may_share_groups():
    rows = ["train a 1", "val a 1", "test a 1"]
    assert make(rows, allow_shared_groups=True).fit_ids == ("c0",)


rows = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 5)), min_size=8, max_size=24)


@settings(max_examples=60, deadline=None)
@given(rows, st.integers(2, 3), st.integers(0, 3), st.randoms())
def test_folds_are_disjoint_and_cover_all(drawn, n, seed, random):
    # A group lies in one split, as in every table that passes its checks.
    clips = table(*(f"{('train', 'val', 'test')[group % 3]} {label} {group}" for label, group in drawn))
    shuffled = list(clips.clips)
    random.shuffle(shuffled)
    try:
        folds = [make_partition(clips, f"fold-{k}-of-{n}", seed=seed) for k in range(n)]
    except EmofuseError:
        return
    seen = sorted(clip.clip_id for clip in (*clips.split("train"), *clips.split("val")))
    assert sorted(i for fold in folds for i in fold.held_out_ids) == seen
    for k, fold in enumerate(folds):
        groups = [{clips.by_id(i).group_id for i in ids} for ids in (fold.fit_ids, fold.held_out_ids, fold.test_ids)]
        assert not (groups[0] & groups[1] or groups[0] & groups[2] or groups[1] & groups[2])
        assert sorted(fold.roles()) == sorted(clip.clip_id for clip in clips.clips)
        again = make_partition(replace(clips, clips=tuple(shuffled)), f"fold-{k}-of-{n}", seed=seed)
        assert set(again.held_out_ids) == set(fold.held_out_ids)


def test_folds_are_stratified_and_seeded():
    clips = table(*(f"train {'ab'[i % 2]} {i // 4}" for i in range(48)))
    fold = make_partition(clips, "fold-0-of-4", seed=0)
    labels = [clips.by_id(i).label for i in fold.held_out_ids]
    assert (labels.count("a"), labels.count("b")) == (6, 6)
    assert fold == make_partition(clips, "fold-0-of-4", seed=0)
    assert fold != make_partition(clips, "fold-0-of-4", seed=1)
