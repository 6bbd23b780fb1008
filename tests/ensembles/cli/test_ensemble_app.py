"""The commands, through the program's own front door."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from emofuse import main
from ensembles.cli.compare import _USUAL_METHODS
from ensembles.fitting.defaults import DEFAULT_METHOD
from ensembles.fusion.option import MENU

ROOT = Path(__file__).parents[3]


@pytest.fixture
def emofuse(capsys):
    def call(*arguments, expect=0):
        code = main(["ensemble", *map(str, arguments)])
        out, err = capsys.readouterr()
        assert code == expect, err
        return out if expect == 0 else err

    return call


def test_the_leaderboard_fits_a_narrow_terminal(emofuse, write_run):
    run = write_run()
    emofuse("fit", run, "--method", "uniform", "--all", "--test")
    for words in ((), ("--test",)):
        text = emofuse("leaderboard", run, *words)
        assert max(map(len, text.splitlines())) <= 80
        assert "Left out here: hyperparameters" in text and "accuracy" in text and "honest estimate (nested)" in text
    assert "hidden=64, lr=0.1" in emofuse("leaderboard", run, "--wide")


def test_fit_compare_leaderboard(emofuse, write_run):
    run = write_run(lacking=0.1)
    quick = ("--method", "decision", "--param", "draws=100", "--param", "sigma_min=0.3")
    text = emofuse("fit", run, *quick, "--all", "--test")
    for part in ("Weights of decision: 4 members of 4", "honest estimate (nested)", "test clips", "best single member"):
        assert part in text
    data = json.loads(emofuse("fit", run, "--method", "uniform", "-n", "mean", "--partition", "train", "--json"))
    assert data["name"] == "mean" and data["partitions"] == ["train"]
    emofuse("fit", run, "--method", "greedy", "--all")
    text = emofuse("leaderboard", run, "--wide")
    for part in ("4 members on 64 held-out clips of swap, train", "hidden=64, lr=0.1", "greedy", "honest estimate"):
        assert part in text
    assert "test accuracy" not in text and "test accuracy" in emofuse("leaderboard", run, "--test")
    board = json.loads(emofuse("leaderboard", run, "--json"))
    assert len(board["members"]) == 4 and {e["name"] for e in board["ensembles"]} == {"decision", "mean", "greedy"}
    text = emofuse("compare", run, "decision", "greedy")
    assert "On 64 held-out clips, each by weights fitted without its group" in text and "McNemar p" in text
    assert json.loads(emofuse("compare", run, "decision", "greedy", "--test", "--json"))["n_clips"] == 16


def test_fit_and_score_splits(emofuse, write_run):
    run = write_run()  # 80 clips: two fifths train, two fifths val, one fifth test
    data = json.loads(emofuse("fit", run, "--method", "greedy", "--all", "--fit-split", "validation", "--json"))
    assert data["fit_split"] == "val" and data["partitions"] == ["train"]
    assert data["scores"]["ensemble"]["nested"]["n_clips"] == 32 and "test" not in data["scores"]["ensemble"]
    assert data["scores"]["ensemble"]["fit"]["rows"].startswith("held-out clips of split val of partition train")
    board = json.loads(emofuse("leaderboard", run, "--fit-split", "train", "--score-split", "test", "--json"))
    assert board["n_clips"] == 32 and board["partitions"] == ["swap"]
    assert all(row["test_accuracy"] is not None for row in board["members"])
    assert emofuse("leaderboard", run, "--method", "uniform", "--json").count('"weights"') == 0
    emofuse("fit", run, "--method", "uniform", "--fit-split", "dev")
    assert json.loads(emofuse("compare", run, "greedy", "uniform", "--json"))["n_clips"] == 32
    emofuse("fit", run, "--method", "best")
    text = emofuse("compare", run, "greedy", "best", expect=2)
    assert "greedy was fitted on train and best on swap, train: a comparison needs the same clips" in text


def test_compare_methods(emofuse, write_run):
    run = write_run()
    text = emofuse("compare", run, "--method", "greedy", "--method", "best", "--score-split", "test")
    for part in ("honest estimate (nested)", "test clips", "Against the best single member", "McNemar p", "greedy"):
        assert part in text
    data = json.loads(emofuse("compare", run, "--method", "greedy", "--fit-split", "validation", "--json"))
    assert [e["method"] for e in data["ensembles"]] == ["greedy"]
    assert not (run / "ensembles").exists()


def test_methods_and_ensembles_are_compared_by_what_was_searched_for(emofuse, write_run):
    run = write_run()
    (run / "run.json").write_text(
        json.dumps({"recipe": {"name": "r", "metric": "log_loss"}, "plan": []}), encoding="utf-8"
    )
    methods = ("--method", "greedy", "--method", "uniform")
    text = emofuse("compare", run, *methods)
    assert "Against the best single member by log_loss" in text and "permutation over groups p" in text
    (one, _) = json.loads(emofuse("compare", run, *methods, "--json"))["ensembles"]
    nested = [one["scores"][who]["nested"]["metrics"]["log_loss"] for who in ("ensemble", "best_single")]
    assert one["metric"] == one["against_single"]["metric"] == "log_loss"
    assert one["against_single"]["difference"] == pytest.approx(nested[0] - nested[1])
    assert "McNemar p" in emofuse("compare", run, *methods, "--metric", "accuracy")
    for method in ("greedy", "uniform"):
        emofuse("fit", run, "--method", method, "--all")
    text = emofuse("compare", run, "greedy", "uniform")
    assert "groups) by log_loss:" in text and "points" not in text and "permutation over groups p =" in text
    for metric in ("macro_f1", "accuracy"):
        found = json.loads(emofuse("compare", run, "greedy", "uniform", "--metric", metric, "--test", "--json"))
        assert found["metric"] == metric and (found["test"] == "McNemar") == (metric == "accuracy")
    assert "Unknown metric 'recall'" in emofuse("compare", run, "--metric", "recall", expect=2)


def test_methods_compared_by_default_are_those_of_fit_too(emofuse):
    assert DEFAULT_METHOD in _USUAL_METHODS
    said = f"by default {', '.join(_USUAL_METHODS[:-1])} and {_USUAL_METHODS[-1]}"
    assert said in " ".join(emofuse("compare", "--help").split())


def test_splits_that_make_no_sense(emofuse, write_run):
    run = write_run()
    for arguments, message in (
        (("fit", run, "--fit-split", "test"), "got 'test': test clips are never fitted on"),
        (("fit", run, "--score-split", "train"), "got 'train': members were fitted there"),
        (("leaderboard", run, "--fit-split", "vall"), "Unknown split 'vall'"),
        (("compare", run, "decision"), "the names of two stored ensembles alone"),
        (("compare", run, "--method", "voting"), "Unknown fusion method 'voting'"),
    ):
        assert message in emofuse(*arguments, expect=2)


def test_import_and_dump(emofuse, write_run, tmp_path):
    run, file = write_run(lacking=0.1), tmp_path / "out.csv"
    assert "4 models, 320 rows" in emofuse("dump", run, "-o", file)
    text = emofuse("import", file, "-o", tmp_path / "again")
    assert "again: 4, with 64 held_out, 16 test samples." in text
    assert json.loads(emofuse("import", file, "-o", tmp_path / "again", "--json"))["missing"] > 0


def test_mistakes_get_one_sentence(emofuse, write_run, tmp_path):
    run = write_run()
    assert "Unknown fusion method 'voting'" in emofuse("fit", run, "--method", "voting", expect=2)
    assert "--param expects NAME=VALUE, as draws=2000, but got 'draws'" in emofuse(
        "fit", run, "--param", "draws", expect=2
    )
    told = emofuse("fit", run, "--method", "decision", "--param", "draw=3", expect=2)
    assert "Unknown parameter of the method decision 'draw'" in told
    assert "there is none; run `emofuse search run`" in emofuse("fit", tmp_path / "none", expect=1)
    assert "Unknown ensemble" in emofuse("compare", run, "one", "two", expect=2)
    assert not (run / "ensembles").exists()


def test_help_has_examples(emofuse):
    for command in ("fit", "compare", "leaderboard", "import", "dump"):
        assert "Example: emofuse ensemble" in emofuse(command, "--help")


def test_reading_and_fitting_need_no_heavy_library(write_run):
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "import ensembles.cli.app, ensembles.comparison.compare, ensembles.predictions.exchange\n"
        "import ensembles.comparison.leaderboard\n"
        "from ensembles.fitting.fit import fit_ensemble\n"
        "from ensembles.fitting.options import FitOptions\n"
        "fit_ensemble(Path(sys.argv[1]), FitOptions('greedy'), test=True)\n"
        "print(sorted({'torch', 'ray', 'cv2', 'librosa', 'av', 'optuna'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(write_run())], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


def test_without_a_method_the_default_of_the_evidence_is_fitted(emofuse, write_run):
    run = write_run()
    data = json.loads(emofuse("fit", run, "--all", "--json", "--param", "draws=5"))
    assert (data["name"], data["method"], data["params"]) == ("auto", "auto", {"draws": 5})
    assert [option["name"] for option in data["choice"]] == list(MENU)
    shown = emofuse("fit", run, "--all", "--param", "draws=5")
    for text in (
        "What auto chose among",
        "gain over the average",
        *MENU.values(),
        "chosen",
        "plain average of all candidates",
    ):
        assert text in shown
