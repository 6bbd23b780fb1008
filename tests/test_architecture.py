"""The packages' one direction, and what may be imported where."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ORDER = ("features", "models", "search", "ensembles")
RAY_MODULES = {
    "features/ray_session.py", "features/cluster_extract.py", "search/cluster/tune.py", "search/cluster/nodes.py",
    "search/cluster/submit.py",
}


def _modules(package: str):
    return sorted((ROOT / package).rglob("*.py"))


def _imports(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("package", ORDER)
def test_imports_point_left(package):
    to_the_right = set(ORDER[ORDER.index(package) + 1 :]) | {"emofuse"}
    for path in _modules(package):
        wrong = _imports(ast.parse(path.read_text())) & to_the_right
        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


def test_few_modules_import_ray_and_inside_functions():
    for package in ORDER:
        for path in _modules(package):
            tree = ast.parse(path.read_text())
            name = str(path.relative_to(ROOT))
            if "ray" in _imports(tree):
                assert name in RAY_MODULES, f"{name} imports ray"
            top = ast.Module([n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)], [])
            assert "ray" not in _imports(top), f"{name} imports ray at module level"


LIGHT = (
    "features.clips features.store features.sets search.run.predictions "
    "ensembles.cli.app ensembles.predictions.sets ensembles.fitting.ensemble ensembles.report"
)


def test_fusion_needs_no_heavy_library():
    code = (
        "import sys, importlib\n"
        f"for name in {LIGHT.split()!r}: importlib.import_module(name)\n"
        "print(sorted({'torch', 'ray', 'cv2', 'librosa', 'av'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_no_pickle_in_the_packages():
    for package in ORDER:
        for path in _modules(package):
            assert not {"pickle", "joblib", "dill"} & _imports(ast.parse(path.read_text())), path
