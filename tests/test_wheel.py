"""The wheel, installed alone into an empty environment outside the checkout, does the whole job."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from plugged import road, write_clips, write_package, write_recipe

ROOT = Path(__file__).parents[1]


def _run(*words, cwd, **more):
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(word) for word in words], cwd=cwd, env=environment | more, capture_output=True, text=True, timeout=1800
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The built wheel."""
    out = tmp_path_factory.mktemp("dist")
    _run(sys.executable, "-m", "build", "--wheel", "--outdir", out, ROOT, cwd=out)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The `bin` folder of a new environment with the wheel and what it asks for, and nothing else."""
    folder = tmp_path_factory.mktemp("empty")
    _run(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    _run(folder / "venv" / "bin" / "python", "-m", "pip", "install", "--quiet", wheel, cwd=folder)
    return folder / "venv" / "bin"


@pytest.mark.slow
def test_holds_licence_types_and_data(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for package in ("features", "models", "search", "ensembles"):
        assert f"{package}/py.typed" in names
    assert {"emofuse.py", "emofuse-stubs/__init__.pyi", "ensembles/cli/demo_recipe.yaml"} <= names
    papers = {f"recipes/{folder}{name}.yaml" for folder in ("", "papers/") for name in ("kahou2015", "zheng")}
    assert papers <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests", "benchmarks", "docs"))]


@pytest.mark.slow
def test_does_the_whole_job_outside_the_checkout(installed, tmp_path):
    place = _run(installed / "python", "-c", "import emofuse; print(emofuse.__file__)", cwd=tmp_path)
    assert "site-packages" in place
    _run(installed / "emofuse", "demo", "-o", "demo", cwd=tmp_path)
    told = _run(installed / "emofuse", "ensemble", "fit", "demo/run", "--name", "again", "--json", cwd=tmp_path)
    assert "nested" in json.loads(told)["scores"]["ensemble"]
    code = "import emofuse as ef; print(ef.open_run('demo/run').ensemble('again').method)"
    assert _run(installed / "python", "-c", code, cwd=tmp_path).strip() == "auto"


@pytest.mark.slow
def test_a_second_package_brings_a_family_a_feature_set_and_a_data_set(installed, tmp_path):
    package = write_package(tmp_path / "source")
    _run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", package, cwd=tmp_path)
    pip = [installed / "python", "-m", "pip", "install", "-q", "--no-deps", "--no-index"]
    _run(*pip, next(tmp_path.glob("*.whl")), cwd=tmp_path)
    root, recipe = write_clips(tmp_path / "clips"), write_recipe(tmp_path, [])
    try:
        for words in road(root, recipe):
            told = _run(installed / "emofuse", *words, cwd=tmp_path)
        assert "angry" in told
    finally:
        _run(installed / "python", "-m", "pip", "uninstall", "-q", "-y", "my_emotions", cwd=tmp_path)


@pytest.mark.slow
def test_types_reach_a_user(installed, tmp_path):
    (tmp_path / "mine.py").write_text("import emofuse as ef\nreveal_type(ef.open_run('x').fit().name)\n")
    command = [sys.executable, "-m", "mypy", "--python-executable", installed / "python", "--ignore-missing-imports"]
    told = _run(*command, "mine.py", cwd=tmp_path)
    assert 'Revealed type is "builtins.str"' in told or 'Revealed type is "str"' in told
