"""Plug-ins of installed packages: found by their entry points in every process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from plugged import blocks, install_by_hand, road, write_clips, write_package, write_recipe

from ensembles.cli.command import main
from ensembles.fusion.methods import make_fusion
from features.plugins.files import VARIABLE
from models.registry import family_sha256, get_family

ROOT = Path(__file__).parents[1]


@pytest.fixture
def site(monkeypatch, tmp_path):
    """A folder on the path, for packages."""
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_an_entry_point_is_a_family_like_others(site, capsys):
    install_by_hand(site, "woods", blocks()["forest.py"], {"families": "forest = woods:FAMILY"})
    assert get_family("forest").summary == "a random forest on one vector per clip"
    assert len(family_sha256("forest")) == 64
    assert main(["search", "families"]) == 0
    assert "a random forest on one vector per clip [woods 1.0]" in capsys.readouterr().out


def test_an_entry_point_is_a_fusion_method(site):
    install_by_hand(site, "sharp", blocks()["accurate.py"], {"fusions": "accurate = sharp:FUSION"})
    assert type(make_fusion("accurate")).__name__ == "Accurate"


@pytest.mark.parametrize(
    ("code", "point", "told"),
    [
        (
            "x = 1\n1 / 0\n",
            "oak = oaks:FAMILY",
            "oaks.py, line 2: expected a plug-in that can be imported, but got Zero",
        ),
        ("x = 1\n", "oak = oaks:FAMILY", "expected FAMILY, as the entry point of oaks 1.0 says, but it has none"),
        ("\nFAMILY = 3\n", "oak = oaks:FAMILY", "oaks.py, line 2: expected a Family called 'oak', but got a int"),
        ("FAMILY = 3\n", "audio_svm = oaks:FAMILY", "the family 'audio_svm' is there already, as one of emofuse's own"),
    ],
)
def test_a_broken_package_is_one_sentence_with_its_line(site, capsys, code, point, told):
    install_by_hand(site, "oaks", code, {"families": point})
    assert main(["search", "families"]) == 2
    assert told in (found := capsys.readouterr().err) and found.count("\n") == 1
    sys.modules.pop("oaks", None)


def test_a_broken_package_breaks_nothing_else(site):
    install_by_hand(site, "pines", "1 / 0\n", {"families": "pine = pines:FAMILY"})
    assert get_family("embedding_head").name == "embedding_head"


@pytest.mark.slow
def test_a_package_beside_emofuse_goes_all_the_way_on_ray(tmp_path):
    """Its code is on the path alone: searched on Ray, fused, exported and predicted, each in a process of its own."""
    site, package = tmp_path / "site", write_package(tmp_path / "source")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(site), str(package)], check=True, timeout=200)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(site))), VARIABLE: ""}
    root, recipe = write_clips(tmp_path / "clips"), write_recipe(tmp_path, [])
    for words in road(root, recipe):
        command = [sys.executable, "-m", "emofuse", *words]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, (words, done.stderr)
    assert "angry" in done.stdout
    without = {**environment, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=without, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1 and "of the plug-in 'my_emotions 1.2', and a bundle holds no code" in done.stderr
