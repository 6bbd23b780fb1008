from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.clips import Clip
from features.datasets.drawing import drawn, parse_shares, with_val
from features.errors import EmofuseError, WrongUse

CHOICES = {"split": "70/15/15", "folds": 0, "fold": 1, "seed": 0}


def clips(*of_groups: str) -> list[Clip]:
    """A clip for each letter, its class; a word is a group."""
    return [
        Clip(f"{group}-{i}", None, "train", letter, f"g{group}")
        for group, word in enumerate(of_groups)
        for i, letter in enumerate(word)
    ]


def sizes(placed) -> tuple[int, ...]:
    return tuple(Counter(clip.split for clip in placed)[split] for split in ("train", "val", "test"))


def test_single_clips_are_split_exactly_class_by_class():
    placed = drawn(clips(*"a" * 100, *"b" * 20), **CHOICES)
    counts = Counter((clip.label, clip.split) for clip in placed)
    assert [counts["a", s] for s in ("train", "val", "test")] == [70, 15, 15]
    assert [counts["b", s] for s in ("train", "val", "test")] == [14, 3, 3]


@given(st.lists(st.text("abc", min_size=1, max_size=9), min_size=3, max_size=30), st.integers(0, 3))
@settings(max_examples=50, deadline=None)
def test_groups_stay_whole_no_split_stays_empty_and_order_does_not_matter(words, seed):
    rows = clips(*words)
    placed = drawn(rows, **CHOICES | {"seed": seed})
    homes = {(clip.group_id, clip.split) for clip in placed}
    assert len(homes) == len(words) and min(sizes(placed)) > 0
    backwards = drawn(rows[::-1], **CHOICES | {"seed": seed})
    assert {c.clip_id: c.split for c in placed} == {c.clip_id: c.split for c in backwards}


def test_a_seed_draws_others():
    rows = clips(*["ab"] * 20)
    first, again, other = (drawn(rows, **CHOICES | {"seed": seed}) for seed in (0, 0, 1))
    assert first == again != other and sizes(first) == sizes(other) == (28, 6, 6)


def test_folds_are_test_splits_that_together_are_all():
    rows = clips(*["aabb"] * 10)
    tests = []
    for fold in range(1, 6):
        placed = drawn(rows, **CHOICES | {"folds": 5, "fold": fold, "split": "75/25"})
        assert sizes(placed) == (24, 8, 8)
        tests += [clip.clip_id for clip in placed if clip.split == "test"]
    assert sorted(tests) == sorted(clip.clip_id for clip in rows)


def test_few_groups_are_told(capsys):
    assert sizes(drawn(clips("ab", "ab"), **CHOICES)) == (2, 2, 0)
    assert "2 groups are too few for 3 splits: no test clips" in capsys.readouterr().err


def test_val_is_drawn_where_there_is_none():
    rows = [*clips(*["ab"] * 17), Clip("held", None, "test", "a", "another")]
    placed = with_val(rows, "70/15/15", 0)
    assert sizes(placed) == (28, 6, 1)
    assert with_val(placed, "50/50", 0) == placed and with_val(rows, "70/0/30", 0) == tuple(rows)


@pytest.mark.parametrize("text", ["70", "70/x", "0/50/50", "70/15/15/1", "70/-1", "nan/1", ""])
def test_odd_shares_are_refused(text):
    with pytest.raises(WrongUse, match="shares of train, val and test such as 70/15/15, but got"):
        parse_shares(text)
    assert parse_shares("3/1") == (0.75, 0.25, 0.0)


def test_odd_folds_are_refused():
    for folds, fold in ((1, 1), (3, 4), (3, 0)):
        with pytest.raises(WrongUse, match=f"--fold from 1 to that, but got {folds} and {fold}"):
            drawn(clips("a", "a", "a"), **CHOICES | {"folds": folds, "fold": fold})
    with pytest.raises(WrongUse, match="--fold 2 says which fold is the test split, so it needs --folds"):
        drawn(clips("a", "b"), **CHOICES | {"fold": 2})
    with pytest.raises(EmofuseError, match="5 folds need 5 groups or more, but there are 2"):
        drawn(clips("aaaaa", "aaaaa"), **CHOICES | {"folds": 5})
