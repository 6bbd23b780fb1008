"""The code of docs/extending.md: found, searched, fused, exported and asked for; nothing else loads any."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from plugged import blocks, write_clips, write_plugins, write_recipe

import emofuse as ef
from ensembles.cli.command import main
from features.plugins.files import VARIABLE, use
from features.plugins.shipping import sources
from features.sets import set_sha256
from search.run.predictions import prediction_files, read_footer

ROOT = Path(__file__).parents[1]


@pytest.fixture
def no_plugins(monkeypatch):
    monkeypatch.setenv(VARIABLE, "")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A finished run, its bundle and the plug-ins, all made by commands."""
    folder = tmp_path_factory.mktemp("plugged")
    _, feature_set, corpus, fusion = write_plugins(folder / "code")
    root = write_clips(folder / "clips")
    recipe = write_recipe(folder, ["code/forest.py", "code/loudness.py"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, "")
        table, store, run, bundle = (str(folder / name) for name in ("clips.parquet", "store", "run", "bundle"))
        for command in (
            ["--plugin", str(corpus), "clips", "halves", str(root), "-o", table],
            [
                "features",
                "extract",
                table,
                "-s",
                "loudness:parts=2",
                "-o",
                store,
                f"--plugin={feature_set}",
                "--workers=0",
            ],
            ["search", "run", str(recipe), "--clips", table, "--features", store, "-o", run, "--in-process"],
            ["ensemble", "fit", run, "--name", "e", "--method", "accurate", "--plugin", str(fusion)],
            ["ensemble", "refit", run, "e", "--in-process"],
            ["ensemble", "export", run, "e", "-o", bundle, "--anyway"],
        ):
            assert main(command) == 0, command
    return folder


def test_the_pages_code_is_as_short_as_it_says():
    lines = {name: len(code.strip().splitlines()) - 1 for name, code in blocks().items()}
    most = {"forest.py": 40, "loudness.py": 30, "halves.py": 30, "accurate.py": 20}
    assert set(lines) == set(most)
    assert all(lines[name] <= number for name, number in most.items()), lines


def test_the_keys_know_the_plugins_code(world):
    footers = [read_footer(path) for path in prediction_files(world / "run")]
    assert {footer.family for footer in footers} == {"forest"}
    assert len({footer.plugin_sha256 for footer in footers}) == 1 and len(footers[0].plugin_sha256) == 64


def test_a_bundle_names_its_plugins_and_holds_no_code(world):
    contents = json.loads((world / "bundle" / "bundle.json").read_text())
    assert [(one["name"], one["source"]) for one in contents["plugins"]] == [
        ("forest", "forest.py"),
        ("loudness", "loudness.py"),
    ]
    assert not list((world / "bundle").rglob("*.py"))


def test_a_bundle_predicts_with_its_plugins(world, no_plugins, capsys):
    given = ["--plugin", str(world / "code" / "forest.py"), "--plugin", str(world / "code" / "loudness.py")]
    clip = world / "clips" / "angry" / "zoe-0.wav"
    assert main(["predict", str(world / "bundle"), str(clip), "--json", *given]) == 0
    assert json.loads(capsys.readouterr().out)["label"] == "angry"


def test_python_takes_plugins_as_the_commands_do(world, no_plugins, monkeypatch, tmp_path):
    forest, loudness, halves, accurate = (world / "code" / name for name in blocks())
    table, store, run = tmp_path / "clips.parquet", tmp_path / "store", tmp_path / "run"

    def fresh():
        monkeypatch.setenv(VARIABLE, "")

    with pytest.raises(ef.WrongUse, match="halves"):
        ef.clips("halves", world / "clips", table)
    assert len(ef.clips("halves", world / "clips", table, plugins=[halves])) == 30
    fresh()
    assert ef.extract(table, "loudness:parts=2", store, workers=0, plugins=[loudness])["ok"].item() == 30
    fresh()
    entries = {"forest": {"configurations": 1, "inputs": {"vector": "loudness:parts=2"}, "fixed": {"trees": 20}}}
    recipe = {"name": "plugged", "stages": [{"stage": "clips", "entries": entries}]}
    asked = {"clips": table, "features": store, "out": run, "in_process": True}
    with pytest.raises(ef.WrongUse, match="forest"):
        ef.search(recipe, **asked)
    assert len(ef.search(recipe, **asked, plugins=[str(forest), loudness]).trials()) == 1
    fresh()
    opened = ef.open_run(run, plugins=(accurate, forest, loudness))
    assert opened.fit("accurate").method == "accurate"
    fresh()
    P, y = np.random.default_rng(0).dirichlet([1, 1], (2, 20)), np.arange(20) % 2
    assert ef.fit(P, y, method="accurate", plugins=accurate).method == "accurate"
    fresh()
    clip = next((world / "clips").rglob("zoe-*.wav"))
    with pytest.raises(ef.EmofuseError, match="forest"):
        ef.load(world / "bundle")
    fresh()
    assert ef.load(world / "bundle", plugins=[forest, loudness]).predict([clip])["label"].notna().all()


def test_a_bundle_asks_for_its_plugins(world, no_plugins, capsys):
    clip = world / "clips" / "angry" / "zoe-0.wav"
    assert main(["predict", str(world / "bundle"), str(clip)]) == 1
    told = capsys.readouterr().err
    assert "its models need the family 'forest' of the plug-in 'forest.py', and a bundle holds no code: get" in told
    assert "that from whom you trust, and give --plugin FILE or install the package." in told


def test_a_bundle_refuses_other_code(world, no_plugins, tmp_path, capsys):
    for name in ("forest.py", "loudness.py"):
        shutil.copy(world / "code" / name, tmp_path)
    (tmp_path / "forest.py").write_text((tmp_path / "forest.py").read_text() + "\n# changed\n")
    given = [word for name in ("forest.py", "loudness.py") for word in ("--plugin", str(tmp_path / name))]
    assert main(["predict", str(world / "bundle"), str(world / "clips" / "calm"), *given]) == 1
    assert "use the same, or search and export again" in capsys.readouterr().err


def test_lists_tell_where_plugins_come_from(world, no_plugins, capsys):
    code = world / "code"
    assert main(["search", "families", "--plugin", str(code / "forest.py")]) == 0
    assert f"[{code / 'forest.py'}]" in capsys.readouterr().out
    assert main(["features", "sets", "--plugin", str(code / "loudness.py")]) == 0
    assert f"loudness is a plug-in's: {code / 'loudness.py'}" in capsys.readouterr().out


def test_a_run_made_with_plugins_is_told_without_them(world, no_plugins, capsys):
    assert main(["ensemble", "leaderboard", str(world / "run")]) == 0
    assert main(["ensemble", "refit", str(world / "run"), "e", "--in-process"]) == 2
    assert "Unknown family 'forest'" in (told := capsys.readouterr().err)
    assert told.endswith("If a plug-in has it, give --plugin FILE or install its package.\n")


def test_a_runs_own_recipe_loads_no_code(world, no_plugins, capsys):
    run = world / "run"
    command = ["search", "run", str(run / "recipe.yaml"), "--clips", str(world / "clips.parquet")]
    command += ["--features", str(world / "store"), "-o", str(run), "--in-process"]
    assert main(command) == 2
    assert "a run's own recipe loads no code; if you trust its plug-in, give --plugin" in capsys.readouterr().err
    assert os.environ[VARIABLE] == ""


def test_code_travels_as_data(world, no_plugins, tmp_path):
    """Another machine has no such file: the code is run from what was sent."""
    own = tmp_path / "loudness.py"
    shutil.copy(world / "code" / "loudness.py", own)
    use(own)
    there = """
import pickle, sys
from features.plugins.shipping import install
install(pickle.load(sys.stdin.buffer))
from features.sets import get_set, set_sha256
print(get_set("loudness").summary[:4], set_sha256("loudness"))
"""
    shipped, expected = pickle.dumps(sources()), set_sha256("loudness")
    own.unlink()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), VARIABLE: ""}
    done = subprocess.run([sys.executable, "-c", there], input=shipped, stdout=-1, env=environment, check=True)
    assert done.stdout.decode().split() == ["mean", expected]


@pytest.mark.slow
def test_plugins_are_searched_on_ray(world, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), VARIABLE: ""}
    run, given = tmp_path / "run", ["--clips", str(world / "clips.parquet"), "--features", str(world / "store")]
    command = [sys.executable, "-m", "emofuse", "search", "run", str(world / "recipe.yaml"), *given, "-o", str(run)]
    subprocess.run([*command, "--cpus", "1"], check=True, env=environment, cwd=tmp_path, timeout=300)
    here = {path.stem for path in prediction_files(world / "run") if read_footer(path).partition != "full"}
    assert {path.stem for path in prediction_files(run)} == here


@pytest.mark.parametrize(
    "code, told",
    [
        ("import nothing_like_this\nFAMILY = 1\n", "line 1: expected a plug-in that can be imported, but got Mod"),
        ("x = 1\ndef f(:\n", "line 2: expected a plug-in that can be imported, but got SyntaxError"),
        ("x = 1\n", "expected a plug-in with one of FAMILY, SET, ADAPTER, FUSION, but it has none"),
        ("x = 1\nFAMILY = 3\n", "line 2: expected a record with a name of letters, digits and _"),
        ("class A:\n    name = 'a'\n\nFAMILY = A()\n", "line 4: expected a Family called 'a', but got a A."),
    ],
)
def test_a_broken_file_is_one_sentence_with_its_line(code, told, no_plugins, tmp_path, capsys):
    (tmp_path / "mine.py").write_text(code)
    assert main(["search", "families", "--plugin", str(tmp_path / "mine.py")]) == 2
    found = capsys.readouterr().err
    assert found.startswith(f"emofuse: {tmp_path / 'mine.py'}") and told in found and found.count("\n") == 1


def test_a_name_that_is_there_already_is_told(world, no_plugins, tmp_path, capsys):
    code = (world / "code" / "forest.py").read_text()
    (tmp_path / "mine.py").write_text(code.replace('name="forest"', 'name="audio_svm"'))
    assert main(["search", "families", "audio_svm", "--plugin", str(tmp_path / "mine.py")]) == 2
    assert "the family 'audio_svm' is there already, as one of emofuse's own" in capsys.readouterr().err
    os.environ[VARIABLE] = ""
    (tmp_path / "mine.py").write_text(code)
    given = ["--plugin", str(tmp_path / "mine.py"), "--plugin", str(world / "code" / "forest.py")]
    assert main(["search", "families", *given]) == 2
    assert f"already, by {tmp_path / 'mine.py'}, line" in capsys.readouterr().err


def test_two_files_of_one_name_are_told(world, no_plugins, tmp_path, capsys):
    shutil.copy(world / "code" / "forest.py", tmp_path)
    given = ["--plugin", str(tmp_path / "forest.py"), "--plugin", str(world / "code" / "forest.py")]
    assert main(["search", "families", *given]) == 2
    assert "is a plug-in of the same name; rename one of the two" in capsys.readouterr().err


def test_a_plugin_without_a_file_is_told(no_plugins, capsys):
    assert main(["search", "families", "--plugin"]) == 2
    assert "--plugin needs a file" in capsys.readouterr().err
    assert main(["search", "families", "--plugin", "gone.py"]) == 2
    assert "expected a plug-in, a Python file, but it can't be read (No such file" in capsys.readouterr().err
