"""Commands of emofuse that a command runs, each printed before it runs, as a user would type it."""

from importlib import import_module

import typer

from features.terminal import command, console

_APPS = {
    "clips": ("features.app", "clips_app"),
    "features": ("features.app", "features_app"),
    "search": ("search.cli.app", "search_app"),
    "ensemble": ("ensembles.cli.app", "ensemble_app"),
    "report": ("ensembles.cli.report", "report_app"),
}


def show_title(text: str) -> None:
    """Print what the next commands are for."""
    console(stderr=True).print(f"\n{text}", style="bold", soft_wrap=True)


def show_command(*words: object) -> None:
    """Print one command of emofuse."""
    console(stderr=True).print(f"$ {command(*words)}", style="cyan", soft_wrap=True)


def run_command(name: str, *words: object) -> None:
    """Print one command of emofuse and run it."""
    show_command(name, *words)
    module, attribute = _APPS[name]
    app = typer.main.get_command(getattr(import_module(module), attribute))
    app.main([str(word) for word in words], prog_name=f"emofuse {name}", standalone_mode=False)
