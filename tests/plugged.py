"""The code blocks of docs/extending.md as files, and clips for them: who is loud is angry."""

import re
from pathlib import Path

import numpy as np
import soundfile
import yaml

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"
_ENTRY = {"configurations": 2, "inputs": {"vector": "loudness:parts=2"}, "fixed": {"trees": 20}}
RECIPE = {
    "name": "plugged",
    "stages": [
        {"stage": "clips", "entries": {"forest": _ENTRY}},
    ],
}


def blocks() -> dict[str, str]:
    """The page's Python files by name."""
    found = re.findall(r"```python\n(# (\w+\.py)\n.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return {name: code for code, name in found}


def write_plugins(folder: Path) -> list[Path]:
    """All of them in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, code in blocks().items():
        (folder / name).write_text(code, encoding="utf-8")
    return [folder / name for name in blocks()]


def write_clips(root: Path) -> Path:
    """`<class>/<speaker>-<n>.wav` as the page's data set reads it."""
    rng = np.random.default_rng(0)
    for label, level in (("angry", 0.5), ("calm", 0.05)):
        (root / label).mkdir(parents=True)
        for speaker in ("ann", "bob", "may", "ned", "zoe"):
            for n in range(3):
                sound = rng.normal(0, level * rng.uniform(0.3, 1), 8000).clip(-1, 1)
                soundfile.write(root / label / f"{speaker}-{n}.wav", sound.astype(np.float32), 16000)
    return root


def write_recipe(folder: Path, plugins: list[str]) -> Path:
    """A recipe that names plug-ins."""
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({**RECIPE, **({"plugins": plugins} if plugins else {})}), encoding="utf-8")
    return path


GROUPS = {"families": "forest", "feature_sets": "loudness", "datasets": "halves", "fusions": "accurate"}
_ATTRIBUTES = {"families": "FAMILY", "feature_sets": "SET", "datasets": "ADAPTER", "fusions": "FUSION"}


def write_package(folder: Path, name: str = "my_emotions") -> Path:
    """A package, ready for pip, that registers the page's code by entry points."""
    write_plugins(folder / name)
    (folder / name / "__init__.py").touch()
    lines = ["[build-system]", 'requires = ["setuptools"]', 'build-backend = "setuptools.build_meta"', "[project]"]
    lines += [f'name = "{name}"', 'version = "1.2"', "[tool.setuptools]", f'packages = ["{name}"]']
    for group, module in GROUPS.items():
        lines += [f'[project.entry-points."emofuse.{group}"]', f'{module} = "{name}.{module}:{_ATTRIBUTES[group]}"']
    (folder / "pyproject.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def install_by_hand(folder: Path, name: str, code: str, points: dict[str, str]) -> Path:
    """A module `name` with entry points (group: `name = module:attribute`) as pip would lay it out in `folder`."""
    (folder / f"{name}.py").write_text(code, encoding="utf-8")
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    text = "".join(f"[emofuse.{group}]\n{point}\n" for group, point in points.items())
    (info / "entry_points.txt").write_text(text, encoding="utf-8")
    return folder


def road(root: Path, recipe: Path) -> list[list[str]]:
    """The commands from clips to a prediction with what `write_package` brings; the last one prints `angry`."""
    given = ["--clips", "clips.parquet", "--features", "store"]
    return [
        ["clips", "halves", str(root), "-o", "clips.parquet"],
        ["features", "extract", "clips.parquet", "-s", "loudness:parts=2", "-o", "store", "--workers", "1"],
        ["search", "run", str(recipe), *given, "-o", "run", "--cpus", "1"],
        ["ensemble", "fit", "run", "--name", "e", "--method", "accurate"],
        ["ensemble", "refit", "run", "e", "--cpus", "1"],
        ["ensemble", "export", "run", "e", "-o", "bundle", "--anyway"],
        ["predict", "bundle", str(root / "angry" / "zoe-0.wav")],
    ]
