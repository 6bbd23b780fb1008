"""Text is UTF-8 in every file that is read or written, whatever the locale says."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Where no file is meant: images, archives, sockets, containers, and pyarrow's and fsspec's streams of bytes.
_OF_OTHERS = {"av", "webbrowser", "Image", "zipfile", "tarfile", "ZipFile", "gzip", "wave", "os"}


def _lacks_encoding(call: ast.Call) -> bool:
    named = {keyword.arg for keyword in call.keywords}
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name not in ("read_text", "write_text", "open", "NamedTemporaryFile", "TemporaryFile") or "encoding" in named:
        return False
    owner = getattr(call.func.value, "id", "") if isinstance(call.func, ast.Attribute) else ""
    if owner in _OF_OTHERS or owner[:1].isupper():  # a class' own
        return False
    if name.endswith("_text"):
        return True
    place = 1 if isinstance(call.func, ast.Name) else 0
    given = [keyword.value for keyword in call.keywords if keyword.arg == "mode"] or call.args[place : place + 1]
    mode = given[0].value if given and isinstance(given[0], ast.Constant) else "w+b" if "Temp" in name else "r"
    return "b" not in str(mode)


@pytest.mark.parametrize("package", ["features", "models", "search", "ensembles"])
def test_every_text_file_has_its_encoding(package):
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.Call) and _lacks_encoding(node)), f"{path}:{node.lineno}"


def test_words_of_any_language_under_a_locale_of_one(tmp_path):
    """A recipe and a table in UTF-8, names that the terminal lacks: read right, and printed as well as can be."""
    (tmp_path / "recipe.yaml").write_text("name: 情感\nstages: []\n", encoding="utf-8")
    rows = "".join(f"{c}{n},val,{c},one,{p},{1 - p}\n" for c, p in (("开心", 0.9), ("难过", 0.2)) for n in range(6))
    head = "sample_id,split,label,model,p_开心,p_难过\n"
    (tmp_path / "p.csv").write_text(head + rows, encoding="utf-8")
    environment = {**os.environ, "PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONIOENCODING": "latin-1", "COLUMNS": "80"}
    environment |= {"PYTHONPATH": str(ROOT), "PYTHONCOERCECLOCALE": "0"}
    code = (
        "import emofuse, pathlib\n"
        "from search.recipe.yaml_files import read_yaml\n"
        "print(ascii(read_yaml(pathlib.Path('recipe.yaml'), 'a recipe')['name']))\n"
        "print(emofuse.main(['ensemble', 'import', 'p.csv', '-o', 'run']))\n"
        "print(emofuse.main(['ensemble', 'fit', 'run', '--method', 'uniform']))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, encoding="latin-1")
    assert "Traceback" not in done.stderr, done.stderr
    assert [line for line in done.stdout.splitlines() if len(line) == 1] == ["0", "0"]
    assert r"\u5f00\u5fc3" in done.stdout
    assert done.stdout.startswith(r"'\u60c5\u611f'")
