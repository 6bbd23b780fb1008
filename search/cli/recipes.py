"""`emofuse recipes`: the recipes that come with the program."""

from pathlib import Path
from typing import Annotated

import typer

from features.terminal import Table, console
from search.recipe.shipped import recipe_file, shipped, shipped_path

RecipeFile = Annotated[
    Path,
    typer.Argument(parser=recipe_file, metavar="RECIPE", help="The recipe (YAML), or the name of one that is shipped."),
]
recipes_app = typer.Typer(add_completion=False, help="List the recipes that come with emofuse, or print one.")


@recipes_app.callback(invoke_without_command=True)
def list_recipes(context: typer.Context) -> None:
    """List the recipes that come with emofuse; `show NAME` prints one, to be changed and searched with.

    Example: emofuse recipes show start > my.yaml
    """
    if context.invoked_subcommand is not None:
        return
    table = Table("recipe", "what it is for")
    for name, purpose in shipped().items():
        table.add_row(name, purpose)
    console().print(table)
    print("To run one: emofuse search run NAME ...; to change one: emofuse recipes show NAME > my.yaml")


@recipes_app.command("show")
def show(name: Annotated[str, typer.Argument(help="The recipe's name, such as start.")]) -> None:
    """Print a recipe, whose comments say what to extract first.

    Example: emofuse recipes show start > my.yaml
    """
    print(shipped_path(name).read_text(encoding="utf-8"), end="")
