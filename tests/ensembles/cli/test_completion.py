"""The shell's completion of the whole command."""

import pytest

from ensembles.cli.command import main


def completed(monkeypatch, capsys, words):
    monkeypatch.setenv("_EMOFUSE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 0
    return capsys.readouterr().out.split()


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("emofuse e", ["ensemble", "evaluate"]),
        ("emofuse ensemble ref", ["refit"]),
        ("emofuse predict --wi", ["--window"]),
        ("emofuse clips rav", ["ravdess"]),
        ("emofuse nons", []),
    ],
)
def test_commands_and_options_are_completed(monkeypatch, capsys, words, found):
    assert completed(monkeypatch, capsys, words) == found


def test_the_shells_part_is_printed(capsys):
    with pytest.raises(SystemExit):
        main(["--show-completion", "bash"])
    assert "_EMOFUSE_COMPLETE=complete_bash" in capsys.readouterr().out
