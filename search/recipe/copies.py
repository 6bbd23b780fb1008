"""The recipe that a run keeps a copy of, and whether the copy is still as its search wrote it."""

from pathlib import Path

from features.errors import EmofuseError
from features.files import file_sha256, read_json, write_bytes

NAME = "recipe.yaml"
# The field of run.json that tells the copy's digest.
DIGEST = "recipe_sha256"


def write_copy(run: Path, text: str) -> str:
    """Write the run's copy; returns its digest for run.json."""
    write_bytes(run / NAME, text.encode())
    return file_sha256(run / NAME)


def is_copy(recipe: Path) -> bool:
    """Whether the file is the copy that a run keeps."""
    return recipe.name == NAME and recipe.is_file() and (recipe.parent / "run.json").is_file()


def changed_copy(recipe: Path) -> str | None:
    """The sentence for a run's copy that is not as its search wrote it, edited or damaged; None for any other file."""
    if not is_copy(recipe):
        return None
    try:
        digest = read_json(recipe.parent / "run.json", "the description of a run").get(DIGEST)
    except (EmofuseError, AttributeError):
        return None
    if digest is None or digest == file_sha256(recipe):
        return None
    return (
        f"{recipe}: this copy of the recipe is not as the search wrote it, so it was edited or is damaged; what was "
        "searched stands in run.json."
    )
