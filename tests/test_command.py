"""The command itself: overview, unknown names, exit codes."""

import re

import pytest

import emofuse


def test_overview(capsys):
    assert emofuse.main(["--help"]) == 0
    assert "Start with: emofuse demo" in capsys.readouterr().out


def test_the_version_is_the_packages(capsys):
    assert emofuse.main(["--version"]) == 0
    assert capsys.readouterr().out == f"emofuse {emofuse.__version__}\n"


def test_no_command_is_wrong_use(capsys):
    assert emofuse.main([]) == 2


@pytest.mark.parametrize(
    ("command", "first"),
    [("search", ["families", "doctor", "run", "status"]), ("ensemble", ["leaderboard", "fit"]), ("clips", ["folder"])],
)
def test_commands_are_listed_as_work_goes_and_complete_nothing_by_themselves(command, first, capsys):
    assert emofuse.main([command, "--help"]) == 0
    told = capsys.readouterr().out
    assert re.findall(r"^│ ([a-z]\w+) ", told, re.M)[: len(first)] == first
    assert "completion" not in told


def test_unknown_command_names_the_nearest(capsys):
    assert emofuse.main(["ensembel", "fit"]) == 2
    assert "Did you mean 'ensemble'?" in capsys.readouterr().err


def test_unknown_option_is_wrong_use(capsys):
    assert emofuse.main(["predict", "--nonsense"]) == 2
    assert "nonsense" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["search", "status", "absent"],
        ["ensemble", "fit", "absent"],
        ["predict", "absent", "clip.mp4"],
        ["report", "absent"],
        ["features", "extract", "absent.parquet", "-s", "functionals", "-o", "store"],
    ],
)
def test_a_missing_file_is_one_sentence(words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert emofuse.main(words) in (1, 2)
    told = capsys.readouterr().err.strip()
    assert told.startswith("emofuse: ")
    assert "absent" in told
    assert len(told.splitlines()) == 1
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["demo", "clips", "features", "search", "ensemble", "predict", "evaluate", "report"])
def test_every_command_has_help(name, capsys):
    assert emofuse.main([name, "--help"]) == 0
    assert "Usage: emofuse" in capsys.readouterr().out


def test_any_interrupted_command_says_so(tmp_path, monkeypatch, capsys):
    def interrupt(path):
        raise KeyboardInterrupt

    monkeypatch.setattr("features.app.read_clips", interrupt)
    assert emofuse.main(["features", "extract", "clips.parquet", "-s", "is10", "-o", str(tmp_path)]) == 130
    assert "emofuse: interrupted; the same command goes on" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error", [ModuleNotFoundError("No module named 'torch'"), RuntimeError("cannot cache function 'f': no locator")]
)
def test_a_machine_that_lacks_something_is_told_in_one_sentence(monkeypatch, capsys, error):
    def broken(path):
        raise error

    monkeypatch.setattr("features.app.read_clips", broken)
    assert emofuse.main(["features", "extract", "clips.parquet", "-s", "is10", "-o", "store"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("emofuse: This command can't run on ") and len(told.splitlines()) == 1
    monkeypatch.setattr("features.app.read_clips", lambda path: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        emofuse.main(["features", "extract", "clips.parquet", "-s", "is10", "-o", "store"])
