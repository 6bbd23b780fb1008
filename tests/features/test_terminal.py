import ast
import io
import shlex
import sys
from pathlib import Path

import pytest
from rich.console import Console

from features import progress as progress_module
from features.progress import progress, say
from features.terminal import Table, command, console, print_anything

ROOT = Path(__file__).parents[2]
ODD = ["[/b]", "[red]", ":smile:", "[link=x]y[/link]", "a[0]"]


def printed(thing, **options) -> str:
    file = io.StringIO()
    console(file=file, width=200).print(thing, **options)
    return file.getvalue()


@pytest.mark.parametrize("word", ODD)
def test_words_are_printed_as_they_are(word):
    table = Table(word, title=f"title {word}")
    table.add_column(f"column {word}")
    table.add_row(word, f"cell {word}")
    for shown in (printed(table), printed(word), printed(f"say {word}", soft_wrap=True)):
        assert word in shown
    # Whoever prints the table with a console of their own gets it as it is, too.
    file = io.StringIO()
    Console(file=file, width=200).print(table)
    assert file.getvalue().count(word) == 5


@pytest.mark.parametrize("word", ODD)
def test_progress_and_lines_too(word, monkeypatch):
    file = io.StringIO()
    monkeypatch.setattr(progress_module, "console", console(file=file, width=200, force_terminal=True))
    monkeypatch.setattr(progress_module.sys.stderr, "isatty", lambda: True, raising=False)
    say(word)
    with progress(f"what {word}", 2) as counter:
        counter.advance(note=f"note {word}")
    assert word in file.getvalue()
    assert f"what {word}" in file.getvalue()
    assert f"note {word}" in file.getvalue()


def test_rich_is_used_through_this_module_alone():
    """`Console(...)` and rich's `Table` parse markup unless told not to: nobody else makes one."""
    for package in ("features", "models", "search", "ensembles"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if path.name == "terminal.py":
                continue
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom) and node.module in ("rich", "rich.table", "rich.markup"):
                    raise AssertionError(f"{path}: {node.module}")
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    assert node.func.id not in ("Console", "rprint"), path
                    if node.func.id == "TextColumn":
                        assert any(keyword.arg == "markup" for keyword in node.keywords), path


def test_help_is_shown_with_its_brackets(capsys):
    """Help texts go through typer's markup: none may hold what that would swallow."""
    import typer

    import emofuse
    from ensembles.cli.command import APPS

    def commands(group, words):
        for name, one in getattr(group, "commands", {}).items():
            yield [*words, name], one
            yield from commands(one, [*words, name])

    for app, (module, attribute, _) in APPS.items():
        group = typer.main.get_command(getattr(__import__(module, fromlist=[attribute]), attribute))
        for words, one in [([app], group), *commands(group, [app])]:
            texts = [one.help or "", *(getattr(parameter, "help", None) or "" for parameter in one.params)]
            bracketed = {word for text in texts for word in text.split() if word.startswith("[") or ":" in word[1:-1]}
            assert emofuse.main([*words, "--help"]) == 0
            shown = "".join(capsys.readouterr().out.replace("│", " ").split())
            assert all(word in shown for word in bracketed), (words, bracketed)


def test_an_unknown_option_is_told_as_it_was_typed(capsys):
    import emofuse

    assert emofuse.main(["predict", "--[/b]:smile:"]) == 2
    assert "--[/b]:smile:" in capsys.readouterr().err


def test_commands_can_be_pasted():
    words = ["ensemble", "fit", "my runs/$HOME's", "-n", "a;b"]
    assert shlex.split(command(*words)) == ["emofuse", *words]


def test_what_the_terminal_cannot_print_is_written_in_ascii(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="latin-1"))
    print_anything()
    console(width=80).print("开心 Glück \udcff")
    print("开心")
    sys.stdout.flush()
    assert raw.getvalue().decode("latin-1").split("\n")[:2] == ["\\u5f00\\u5fc3 Glück \\udcff", "\\u5f00\\u5fc3"]
