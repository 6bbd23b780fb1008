"""The packages' one direction, and what may be imported where."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ORDER = ("features", "models", "search", "ensembles")
RAY_MODULES = {
    "features/workers/ray_access.py",
    "features/workers/ray_session.py",
    "features/workers/cluster_extract.py",
    "features/workers/node_tasks.py",
    "features/workers/nodes.py",
    "search/cluster/tune.py",
    "search/cluster/nodes.py",
    "search/cluster/ray_process.py",
    "search/cluster/submit.py",
}


# What is left of a room is below it: it may be imported, and knows nothing of the room. Lazy imports count.
ROOMS = {
    "search": "recipe run goal trial budget cluster sampling study watch runner smoke cli",
    "models": ". training blocks families",
    "ensembles": (
        "evaluation predictions fusion continuous records fitting comparison bundle applying papers report live api cli"
    ),
}
# Modules that are nothing but classes for Ray; whoever imports them has started it.
RAY_CLASSES = {"search/cluster/losses.py", "search/cluster/scheduler.py", "search/cluster/searcher.py"}


def _modules(package: str):
    return sorted((ROOT / package).rglob("*.py"))


def _imported(tree: ast.AST) -> set[str]:
    """The dotted names of all that is imported, also inside functions; of `from a import b` both `a` and `a.b`."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def _imports(tree: ast.AST) -> set[str]:
    return {name.split(".")[0] for name in _imported(tree)}


def _name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _graph() -> dict[str, set[str]]:
    """Every module with the modules that it imports; a package's own __init__ may hand on what is inside."""
    paths = {_name(path): path for package in ORDER for path in _modules(package)}
    graph = {}
    for name, path in paths.items():
        imported = (_imported(ast.parse(path.read_text())) & paths.keys()) - {name}
        inside = path.name == "__init__.py"
        graph[name] = {other for other in imported if not (inside and other.startswith(f"{name}."))}
    return graph


def _room(module: str, package: str, rooms: list[str]) -> str:
    part = module.removeprefix(f"{package}.").split(".")[0]
    return part if part in rooms else "."


@pytest.mark.parametrize("package", ORDER)
def test_imports_point_left(package):
    to_the_right = set(ORDER[ORDER.index(package) + 1 :]) | {"emofuse"}
    for path in _modules(package):
        wrong = _imports(ast.parse(path.read_text())) & to_the_right
        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


@pytest.mark.parametrize("package", ROOMS)
def test_rooms_import_in_one_direction(package):
    rooms = ROOMS[package].split()
    for module, imported in _graph().items():
        if not module.startswith(f"{package}."):
            continue
        here = _room(module, package, rooms)
        assert here in rooms, f"{module} lies in no room"
        above = {
            name
            for name in imported
            if name.startswith(f"{package}.") and rooms.index(_room(name, package, rooms)) > rooms.index(here)
        }
        assert not above, f"{module} imports {above} of a room above its own"


def test_no_circle_of_imports():
    try:
        graphlib.TopologicalSorter(_graph()).prepare()
    except graphlib.CycleError as error:
        pytest.fail(f"a circle of imports: {' -> '.join(error.args[1])}")


def test_rooms_of_the_search_stay_small():
    for room in ROOMS["search"].split():
        if (ROOT / "search" / room).is_dir():
            files = [path for path in (ROOT / "search" / room).glob("*.py") if path.name != "__init__.py"]
            assert 5 <= len(files) <= 14, f"search/{room} has {len(files)} files"


def test_few_modules_import_ray_and_inside_functions():
    for package in ORDER:
        for path in _modules(package):
            tree = ast.parse(path.read_text())
            name = str(path.relative_to(ROOT))
            if "ray" in _imports(tree):
                assert name in RAY_MODULES | RAY_CLASSES, f"{name} imports ray"
            top = ast.Module([n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)], [])
            if name not in RAY_CLASSES:
                assert not {"ray", *map(_dotted, RAY_CLASSES)} & _imported(top), f"{name} needs ray at module level"


def _dotted(file: str) -> str:
    return file.removesuffix(".py").replace("/", ".")


LIGHT = (
    "features.clips features.store.store features.sets search.run.predictions "
    "ensembles.cli.app ensembles.predictions.sets ensembles.records.ensemble ensembles.comparison.leaderboard "
    "ensembles.report"
)


def test_tables_and_boards_need_no_heavy_library():
    code = (
        "import sys, importlib\n"
        f"for name in {LIGHT.split()!r}: importlib.import_module(name)\n"
        "print(sorted({'torch', 'ray', 'cv2', 'librosa', 'av', 'sklearn', 'numba', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_importing_emofuse_loads_no_library_behind_it():
    code = (
        "import sys, emofuse\n"
        "assert emofuse.__all__ and emofuse.__doc__\n"
        "print(sorted({'torch', 'ray', 'cv2', 'pandas', 'numpy', 'pyarrow', 'sklearn', 'rich'} & set(sys.modules)))\n"
        "emofuse.open_run, emofuse.fit, emofuse.load, emofuse.search, emofuse.clips, emofuse.extract\n"
        "print(sorted({'torch', 'ray', 'cv2', 'librosa', 'av'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ["[]", "[]"]


def test_no_pickle_in_the_packages():
    for package in ORDER:
        for path in _modules(package):
            assert not {"pickle", "joblib", "dill"} & _imports(ast.parse(path.read_text())), path


def test_no_two_test_modules_share_a_name():
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert {name for name in names if names.count(name) > 1} == set()


def test_no_script_stands_in_the_way_of_a_package():
    # A script's folder comes first where it looks for modules.
    assert not {path.stem for path in (ROOT / "benchmarks").iterdir()} & {*ORDER, "emofuse"}


def test_labels_of_test_clips_are_out_of_reach_of_what_is_fitted():
    """They lie in closures of `TestScores`: no module looks into such, and no fusion method can import the class."""
    for path in (path for package in ORDER for path in _modules(package)):
        text = path.read_text(encoding="utf-8")
        assert "__closure__" not in text and "cell_contents" not in text, path
    for room in ("fusion", "evaluation"):
        for path in sorted((ROOT / "ensembles" / room).rglob("*.py")):
            names = _imported(ast.parse(path.read_text()))
            assert not {name for name in names if name.startswith("ensembles.predictions")}, path
