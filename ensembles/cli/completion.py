"""The shell's completion of the whole command, whose parts are imported only where a word of them is completed."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

VARIABLE = "_EMOFUSE_COMPLETE"  # in which the shell asks
OPTIONS = ("--install-completion", "--show-completion")


def complete(apps: Mapping[str, tuple[str, str, str]], arguments: list[str]) -> None:
    """Answer the shell, or install or print what it needs to ask; `apps` are the commands: module, attribute, help.

    Ends by SystemExit.
    """

    class Lazy(TyperGroup):
        def list_commands(self, context: Any) -> list[str]:
            return list(apps)

        def get_command(self, context: Any, name: str) -> Any:
            if name not in apps:
                return None
            module, attribute, told = apps[name]
            command = typer.main.get_command(getattr(import_module(module), attribute))
            command.help = told
            return command

    root = typer.Typer(cls=Lazy)

    @root.callback()
    def callback() -> None:
        """Hyperparameter search and ensembling for emotion recognition in video."""

    typer.main.get_command(root).main(arguments, prog_name="emofuse", complete_var=VARIABLE)
