"""A fit over a refitted ensemble asks first."""

from dataclasses import replace

import pytest

from ensembles.cli.command import main
from ensembles.records.stored import ensemble_path, open_ensemble, write_ensemble


@pytest.fixture
def refitted(write_run):
    run = write_run()
    assert main(["ensemble", "fit", str(run), "--method", "uniform", "--name", "best"]) == 0
    fitted = open_ensemble(run, "best")
    members = tuple(replace(member, refit=f"r{n}") for n, member in enumerate(fitted.members))
    write_ensemble(replace(fitted, members=members), ensemble_path(run, "best"))
    return run


def kept(run):
    return all(member.refit for member in open_ensemble(run, "best").members)


def test_scripts_are_told_of_the_option(refitted, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    fit = ["ensemble", "fit", str(refitted), "--method", "uniform", "--name", "best"]
    assert main(fit) == 2 and kept(refitted)
    assert "'best' is refitted, and a new fit takes its place: say --replace, or give" in capsys.readouterr().err
    assert main([*fit[:-1], "other"]) == 0
    assert main([*fit, "--replace"]) == 0 and not kept(refitted)
    assert main(fit) == 0, "what is fitted alone is replaced as it was"


@pytest.mark.parametrize("answer", [True, False])
def test_a_person_is_asked(refitted, monkeypatch, answer):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", lambda question: answer)
    code = main(["ensemble", "fit", str(refitted), "--method", "uniform", "--name", "best"])
    assert (code, kept(refitted)) == ((0, False) if answer else (2, True))
