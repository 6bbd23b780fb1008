"""The recipes that come with the program, found wherever it is called from."""

from pathlib import Path

from features.names import unknown_name
from features.progress import say

FOLDER = Path(__file__).parents[2] / "recipes"


def shipped() -> dict[str, str]:
    """What each recipe is for, the first sentence of its comment, by name."""
    return {path.stem: _purpose(path) for path in sorted(FOLDER.glob("*.yaml"))}


def shipped_path(name: str) -> Path:
    """The file of a shipped recipe, given as `start`, `start.yaml` or `recipes/start.yaml`; WrongUse for another."""
    stem = Path(name).name.removesuffix(".yaml")
    if stem not in shipped():
        raise unknown_name("recipe", stem, shipped())
    return FOLDER / f"{stem}.yaml"


def recipe_file(given: str) -> Path:
    """A command's RECIPE argument: the file, or where there is none the shipped recipe of that name, which is said."""
    path = Path(given)
    named = path.parent in (Path(), Path("recipes")) and path.suffix in ("", ".yaml")
    if path.exists() or not named or path.stem not in shipped():
        return path
    say(f"{given}: no such file here, so the recipe {path.stem} that comes with emofuse is taken")
    return shipped_path(given)


def _purpose(path: Path) -> str:
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("# "):
            break
        lines.append(line.removeprefix("# ").strip())
    text = " ".join(lines).split("emofuse ")[0]
    # "et al. 2015" ends no sentence.
    first, *rest = text.split(". ")
    while rest and first.endswith("et al"):
        first = f"{first}. {rest.pop(0)}"
    return first.strip().rstrip(".:")
