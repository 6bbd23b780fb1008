"""Prediction files to typed sets: pooling, what is refused, and that test labels stay sealed."""

import numpy as np
import pytest

from ensembles.predictions.sets import HeldOut, TestScores, read_refits, read_run
from features.errors import EmofuseError, WrongUse
from search.run.predictions import read_footer

TRAIN = [
    ("t1", "g1", "train", "fit", "a"),
    ("v1", "g2", "val", "held_out", "a"),
    ("v2", "g3", "val", "held_out", "b"),
    ("x1", "g4", "test", "test", "b"),
]
SWAP = [(i, g, s, {"fit": "held_out", "held_out": "fit", "test": "test"}[r], label) for i, g, s, r, label in TRAIN]
ONE = [[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.2, 0.8]]
TWO = [[0.8, 0.2], [0.1, 0.9], [0.5, 0.5], [0.4, 0.6]]


def test_pools_held_out_rows_of_all_partitions_and_averages_the_test_rows(tmp_path, write_trial):
    write_trial(TRAIN, ONE)
    write_trial(SWAP, TWO, partition="swap")
    run = read_run(tmp_path)
    held_out, test = run.held_out, run.test
    assert run.partitions == ("swap", "train") and not run.left_out
    assert held_out.ids == ("t1", "v1", "v2") and held_out.groups == ("g1", "g2", "g3")
    assert held_out.y.tolist() == [0, 0, 1] and held_out.valid.all()
    np.testing.assert_allclose(held_out.P[0], [TWO[0], ONE[1], ONE[2]])
    np.testing.assert_allclose(test.P[0], [[0.3, 0.7]])
    (member,) = held_out.members
    assert member.accuracies == {"swap": 1.0, "train": 1.0}
    assert member.name == f"svm/{member.config_key[:12]}" and member.footer.best_epoch == 7


def test_one_partition(tmp_path, write_trial):
    write_trial(TRAIN, ONE)
    write_trial(SWAP, TWO, partition="swap")
    write_trial(TRAIN, ONE, config="c2")
    run = read_run(tmp_path, ["train"])
    assert run.held_out.P.shape == (2, 2, 2) and not run.left_out
    run = read_run(tmp_path, ["train", "swap"])
    assert len(run.held_out.members) == 1
    assert list(run.left_out.values()) == ["no trial on partition swap"]


def test_members_with_other_clips_and_invalid_rows(tmp_path, write_trial):
    write_trial(TRAIN, ONE, valid=[True, False, True, False])
    write_trial(TRAIN[:3], ONE[:3], config="c2")
    run = read_run(tmp_path)
    (first,) = np.flatnonzero(~run.held_out.valid[:, 0])
    assert run.held_out.valid.sum() == 3
    np.testing.assert_allclose(run.held_out.P[first, 0], [0.5, 0.5])
    assert run.test.valid.tolist() == [[False], [False]]


def test_classes_are_aligned_by_name(tmp_path, write_trial):
    write_trial(TRAIN, ONE)
    write_trial(TRAIN, [row[::-1] for row in ONE], config="c2", classes=("b", "a"))
    run = read_run(tmp_path)
    assert run.held_out.classes == ("a", "b")
    np.testing.assert_array_equal(run.held_out.P[0], run.held_out.P[1])


def test_refits_are_kept_apart(tmp_path, write_run):
    folder = write_run(partitions=("train", "swap"))
    write_run(partitions=("full",))
    run = read_run(folder)
    assert run.partitions == ("swap", "train")
    keys = [(member.entry, member.config_key) for member in run.held_out.members]
    files = {read_footer(path).config_key: path.stem for path in folder.rglob("*.parquet") if is_refit(path)}
    names = [(entry, files[config]) for entry, config in keys]
    refits = read_refits(folder, [names[2], ("e0", "unknown"), names[0]])
    assert list(refits.footers) == [names[2], names[0]]
    assert [(m.entry, m.config_key) for m in refits.test.members] == [keys[2], keys[0]]
    assert refits.test.P.shape == (2, 16, 3)
    assert refits.footers[names[0]].partition == "full"


def is_refit(path):
    return read_footer(path).partition == "full"


def test_clips_without_a_label_are_left_out(tmp_path, write_trial):
    rows = [*TRAIN[:2], ("v2", "g3", "val", "held_out", None), ("x1", "g4", "test", "test", None)]
    write_trial(rows, ONE)
    run = read_run(tmp_path)
    assert run.held_out.ids == ("v1",) and run.held_out.unlabelled == 1
    with pytest.raises(EmofuseError, match="No test clip has a label"):
        run.test.score(run.test.P[0])


def test_test_labels_stay_sealed(tmp_path, write_run):
    test = read_run(write_run()).test
    assert not isinstance(test, HeldOut) and not hasattr(test, "y")
    for name in TestScores.__slots__:
        value = getattr(test, name)
        assert name.startswith("_") or name in ("members", "classes", "ids", "groups", "P", "valid", "labelled")
        assert not (isinstance(value, tuple) and set(value) == set(test.classes) and name != "classes")
    scores = test.score(test.P.mean(axis=0))
    assert scores.n == 16 and 0 <= scores.accuracy <= 1
    interval = test.interval(test.P[0])
    assert interval.low <= test.score(test.P[0]).accuracy <= interval.high
    assert test.compare(test.P[0], test.P[0]).difference == 0
    part = test.of_members([2])
    assert part.P.shape == (1, 16, 3) and part.score(part.P[0]) == test.score(test.P[2])
    with pytest.raises(ValueError, match=r"Expected test probabilities of shape \(16, 3\), but got \(3, 3\)"):
        test.score(np.ones((3, 3)))


def _no_files(write):
    pass


def _two_tables(write):
    write(TRAIN, ONE, clips_fingerprint="one")
    write(TRAIN, ONE, config="c2", clips_fingerprint="two")


def _two_class_sets(write):
    write(TRAIN, ONE)
    write(TRAIN, ONE, config="c2", classes=("a", "b"))
    write([(*row[:4], "c") for row in TRAIN], ONE, config="c3", classes=("b", "c"))


def _two_labels(write):
    write(TRAIN, ONE)
    write([(*row[:4], "b") for row in TRAIN], ONE, config="c2")


def _two_groups(write):
    write(TRAIN, ONE)
    write([(row[0], "g9", *row[2:]) for row in TRAIN], ONE, config="c2")


def _test_clip_held_out(write):
    write(TRAIN, ONE)
    write([(*row[:3], "held_out", row[4]) for row in TRAIN], ONE, config="c2")


def _twice(write):
    write(TRAIN, ONE)
    write(TRAIN, ONE, seed=1)


def _refit_only(write):
    write(TRAIN, ONE, partition="full")


def _disjoint(write):
    write(TRAIN, ONE)
    write(SWAP, ONE, config="c2", partition="swap")


def _unlabelled(write):
    write([(*row[:4], None) for row in TRAIN], ONE)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (_no_files, "expected prediction files under predictions/, but there is none"),
        (_two_tables, "were made from different clip tables; an ensemble needs one clip table"),
        (_two_class_sets, "has the classes .*, but .* has .*need the same classes"),
        (_two_labels, "Clip 'v1' is labelled '[ab]' in one prediction file and '[ab]' in another"),
        (_two_groups, "Clip 'v1' has the group 'g[29]' in one prediction file and 'g[29]' in another"),
        (_test_clip_held_out, "clip 'x1' is held out for one member and a test clip for another"),
        (_twice, "same configuration on the same partition .*out of date"),
        (_refit_only, "predictions of refits or backbones only"),
        (_disjoint, r"no member has a trial on every one .* there are swap \(1 trials\), train \(1 trials\)"),
        (_unlabelled, "none of the 2 held-out clips has a label"),
    ],
)
def test_refused(tmp_path, write_trial, build, message):
    build(write_trial)
    with pytest.raises(EmofuseError, match=message):
        read_run(tmp_path)


def test_unknown_partition(tmp_path, write_trial):
    write_trial(TRAIN, ONE)
    with pytest.raises(WrongUse, match=r"no trial was made on partition 'swap'; there are train \(1 trials\)"):
        read_run(tmp_path, ["swap"])


def test_broken_files(tmp_path, write_trial):
    path = write_trial(TRAIN, ONE)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(EmofuseError, match="expected a prediction file, but it can't be read as Parquet"):
        read_run(tmp_path)
