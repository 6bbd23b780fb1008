"""What the README says of commands, held against the programs."""

import ast
import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BENCHMARKS = sorted(set(re.findall(r"`python (benchmarks/[^`]+)`", README)))


def needed(path: Path) -> int:
    """How many arguments without a dash a program can't do without."""
    count = 0
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument":
            (name, *_), optional = node.args, {word.arg for word in node.keywords} & {"nargs", "default"}
            count += isinstance(name, ast.Constant) and not str(name.value).startswith("-") and not optional
    return count


@pytest.mark.parametrize("line", BENCHMARKS)
def test_a_benchmarks_command_has_its_arguments(line):
    file, *words = shlex.split(line)
    given = [word for n, word in enumerate(words) if not word.startswith("-") and not words[n - 1].startswith("--")]
    assert len(given) >= needed(ROOT / file), line


def test_every_command_exists():
    from ensembles.cli.command import APPS

    told = re.findall(r"^    emofuse ([a-z]+)", README, re.MULTILINE) + re.findall(r"`emofuse ([a-z]+)", README)
    assert len(told) > 30 and set(told) <= set(APPS)


def test_the_demo_says_what_comes_next(tmp_path, monkeypatch):
    from ensembles.cli import demo

    monkeypatch.setattr(demo, "which", lambda name: None)
    told = "\n".join(demo._following(tmp_path / "my demo"))
    assert "emofuse init mine" in told and "real ones it calls unlike" in told and "activate" in told
    assert f"emofuse predict '{tmp_path}/my demo/bundle' '{tmp_path}/my demo/new' --details" in told
    monkeypatch.setattr(demo, "which", lambda name: "/bin/emofuse")
    assert "activate" not in "\n".join(demo._following(tmp_path))
