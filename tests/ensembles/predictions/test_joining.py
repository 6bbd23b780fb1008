"""Predictions of other tools that don't fit a run are told when they come."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from ensembles.cli.app import ensemble_app
from ensembles.predictions.exchange import import_long
from ensembles.predictions.sets import read_run
from features.errors import EmofuseError, WrongUse
from features.terminal import command
from search.run.predictions import prediction_files

HEADER = "sample_id,split,label,model,group_id,p_a,p_b\n"


@pytest.fixture
def csv(tmp_path):
    def write(rows, header=HEADER):
        (tmp_path / "long.csv").write_text(header + "\n".join(rows) + "\n")
        return tmp_path / "long.csv"

    return write


def rows(model, ids=("c1", "c2", "c3"), groups=("s1", "s2", "s2"), split="val", labels="aba", p=(0.6, 0.4)):
    each = zip(ids, labels, groups, strict=True)
    return [f"{i},{split},{label},{model},{group},{p[0]},{p[1]}" for i, label, group in each]


@pytest.fixture
def run(csv, tmp_path):
    """A run with the imported model `one`."""
    import_long(csv(rows("one")), tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"groups": ("s1", "s2", "s3")},
            "'two' has the group_id 's3' for clip 'c3', but the run has 's2'; an",
        ),
        ({"labels": "abb"}, "model 'two' has the label 'b' for clip 'c3', but the run has 'a'; an ensemble needs one"),
        ({"split": "test"}, "clip 'c1' is a test clip here, but in the run held out; correct its split, or give it"),
    ],
)
def test_what_would_break_the_leaderboard_is_refused(csv, run, changed, message):
    with pytest.raises(EmofuseError, match=message):
        import_long(csv(rows("two", **changed)), run)
    assert [member.entry for member in read_run(run).held_out.members] == ["one"]
    with pytest.raises(EmofuseError, match=r"sample 'c1' has the group_id 's1' in one row and 'x' in that of model"):
        import_long(csv([*rows("m"), *rows("k", groups=("x", "s2", "s2"))]), run)


def test_other_classes_are_refused(csv, run):
    header = HEADER.replace("p_b", "p_c")
    with pytest.raises(EmofuseError, match=r"its classes are a, c, those of the run a, b; the members of an ensemble"):
        import_long(csv(rows("two", labels="aca"), header), run)


def test_names_are_spelt_as_in_the_run(csv, run, capsys):
    changed = rows("two", ids=("C1", "c2", "c3 "), groups=("S1", "s2", "s2"), labels="ABA")
    import_long(csv(changed, HEADER.replace("p_a,p_b", "p_A,p_B")), run)
    held_out = read_run(run).held_out
    assert held_out.ids == ("c1", "c2", "c3") and held_out.classes == ("a", "b") and held_out.valid.all()
    assert held_out.groups == ("s1", "s2", "s2")
    assert "the sample_id 'C1' is taken for 'c1'" in capsys.readouterr().err


def test_models_that_share_no_clip_are_told(csv, run, tmp_path, capsys):
    import_long(csv(rows("two", ids=("0", "1", "2"))), run)
    assert "2 of 2 models share no clip with any other ('one' and 'two')" in capsys.readouterr().err
    import_long(csv(rows("three")), run)
    assert "1 of 3 models share no clip with any other ('two')" in capsys.readouterr().err
    alone = [row for m in range(4) for row in rows(f"m{m}", ids=[str(3 * m + n) for n in range(3)])]
    import_long(csv(alone), tmp_path / "other")
    told = capsys.readouterr().err
    assert (
        "4 of 4 models share no clip with any other ('m0', 'm1', 'm2' and 'm3'); the first has clips like '0'" in told
    )
    read_run(tmp_path / "other")
    told = "no clip is scored by two of its 4 members, so nothing can be fused or compared; its clips are '0' to '9'"
    assert told in capsys.readouterr().err


def test_missing_groups_are_told(csv, tmp_path, run, capsys):
    capsys.readouterr()
    bare = HEADER.replace("group_id,", "")
    each = [f"{clip},val,a,{model},0.5,0.5" for model in ("two", "four") for clip in ("c1", "c9")]
    import_long(csv(each, bare), run)
    told = "without a column group_id (speaker, subject or film) 1 of 2 clips are groups by themselves: estimates and"
    assert capsys.readouterr().err.count(told) == 1
    import_long(csv(["c1,val,a,three,0.5,0.5"], bare), run)
    assert "group_id" not in capsys.readouterr().err
    import_long(csv(["c8,val,a,five,s1,0.5,0.5"], HEADER.replace("group_id", "speaker")), run)
    assert "subject or film) (not read: speaker) 1 of 1 clips" in capsys.readouterr().err


def test_a_corrected_model_takes_the_others_place(csv, run):
    import_long(csv(rows("two")), run)
    again = csv(rows("ONE", p=(0.1, 0.9)))
    with pytest.raises(WrongUse, match=r"the run already has other predictions of 'one'; give --replace to put these"):
        import_long(again, run)
    assert len(prediction_files(run)) == 2
    done = import_long(again, run, replace=True)
    assert done.entries == ("ONE",) and len(done.replaced) == 1
    held_out = read_run(run).held_out
    assert [member.entry for member in held_out.members] == ["ONE", "two"]
    np.testing.assert_allclose(held_out.P[0], [[0.1, 0.9]] * 3, atol=1e-6)
    assert import_long(again, run).replaced == ()


def test_all_models_may_come_again_with_other_groups(csv, run):
    import_long(csv(rows("two")), run)
    both = csv([row for model in ("one", "two") for row in rows(model, groups=("x", "x", "y"))])
    import_long(both, run, replace=True)
    assert read_run(run).held_out.groups == ("x", "x", "y")


def test_a_trained_entry_is_not_replaced(csv, tmp_path, write_trial):
    write_trial([("c1", "s1", "val", "held_out", "a")], [[0.5, 0.5]])
    with pytest.raises(EmofuseError, match="The run trained an entry 'svm' itself; give the imported model another"):
        import_long(csv(rows("SVM")), tmp_path, replace=True)


def test_logits_become_probabilities(csv, tmp_path):
    logits = ["c1,val,a,m,s1,-1000,-998", "c2,val,b,m,s2,2,-inf", "c3,val,b,m,s2,,"]
    done = import_long(csv(logits), tmp_path / "run", logits=True)
    assert (done.softmax, done.normalised, done.missing) == (2, 0, 1)
    odds = 1 / (1 + np.exp(2.0))
    np.testing.assert_allclose(
        read_run(tmp_path / "run").held_out.P[0], [[odds, 1 - odds], [1, 0], [0.5, 0.5]], atol=1e-6
    )
    with pytest.raises(EmofuseError, match=r"probabilities can't be negative or infinite \(logits need --logits\)"):
        import_long(csv(logits), tmp_path / "none")
    with pytest.raises(WrongUse, match="its scores are probabilities already, each row sums to 1; leave --logits out"):
        import_long(csv(rows("m")), tmp_path / "none", logits=True)
    with pytest.raises(EmofuseError, match="expected a finite one as the largest"):
        import_long(csv(["c1,val,a,m,s1,-inf,-inf"]), tmp_path / "none", logits=True)


def invoke(*words):
    return CliRunner().invoke(ensemble_app, [str(word) for word in words])


def test_the_command_tells_of_roles_logits_and_what_was_replaced(csv, tmp_path):
    run = tmp_path / "run"
    told = invoke("import", csv(rows("one", split="train")), "-o", run).output
    assert (
        f"Models imported into {run}: 1, with 3 fit samples." in told
        and "no weights can be fitted. The 3 clips of split train" in told
    )
    assert "say `--role train=held_out`" in told
    file = csv(rows("one", split="Train"))
    told = invoke("import", file, "-o", run, "--role", "train=held_out", "--replace").output
    assert ": 1, with 3 held_out samples." in told and "Earlier predictions replaced: 1." in told
    assert invoke("fit", run, "--method", "uniform", "--name", "mine").exit_code == 0
    told = invoke("import", csv(rows("one", p=(2, -2))), "-o", run, "--logits", "--replace").output
    assert "softmax was applied to 3 rows of logits" in told
    assert "Ensembles that were fitted on them, to be fitted again: mine." in told
    told = invoke("import", csv(rows("two", split="test", ids=("t1", "t2", "t3"))), "-o", run).output
    assert "No clip is held out, so no weights can be fitted. Rows of split validation are held out." in told
    shown = json.loads(invoke("import", csv(rows("three")), "-o", run, "--json").stdout)
    assert shown["softmax"] == 0 and shown["replaced"] == []


@pytest.mark.parametrize("verb", [("refit", "--in-process"), ("export", "-o", "bundle")])
def test_imported_models_can_not_be_retrained(run, verb, tmp_path):
    assert invoke("fit", run, "--method", "uniform", "--name", "mine").exit_code == 0
    result = invoke(verb[0], run, "mine", *verb[1:])
    fused = command("ensemble", "predictions", run, "mine", "--split", "test", "-o", "test.csv")
    assert isinstance(result.exception, EmofuseError) and str(result.exception) == (
        "Ensemble 'mine': one was imported from another tool; imported models can't be retrained or exported. Its "
        f"fused predictions are to be had by `{fused}`."
    )
