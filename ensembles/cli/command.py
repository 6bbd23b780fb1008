"""The command `emofuse`: composes the command-line apps of the four packages."""

import errno
import os
import sys
import traceback
from importlib import import_module
from pathlib import Path
from types import TracebackType

import typer

from ensembles.cli import completion
from features.errors import EmofuseError, WrongUse
from features.machine import machine_fault
from features.masking import masked
from features.terminal import print_anything
from features.unwritable import refused

# Each app is imported when its command is called: `emofuse ensemble fit` needs neither torch nor cv2.
APPS = {
    "demo": ("ensembles.cli.demo", "demo_app", "The whole job on generated clips, in a few minutes on two cores."),
    "init": ("ensembles.cli.init", "init_app", "A folder with a clip table, a recipe and the commands to run."),
    "reproduce": ("ensembles.cli.reproduce", "reproduce_app", "A paper's experiment, to its tables beside ours."),
    "clips": ("features.app", "clips_app", "Make a clip table from a data set's folders."),
    "features": ("features.app", "features_app", "Extract features, import your own, list a store."),
    "recipes": ("search.cli.recipes", "recipes_app", "List the recipes that come with emofuse, or print one."),
    "search": ("ensembles.cli.search", "search_app", "Run and watch searches over architecture families."),
    "ensemble": ("ensembles.cli.app", "ensemble_app", "Fit, compare, refit and export ensembles."),
    "predict": ("ensembles.cli.predict", "predict_app", "Classify media files with an exported bundle."),
    "evaluate": ("ensembles.cli.evaluate", "evaluate_app", "Measure an exported bundle on labelled clips."),
    "report": ("ensembles.cli.report", "report_app", "Write a run's report as one HTML file."),
}

# Typer carries a click of its own in some releases; its errors are reached through what typer exports.
ClickException: type[Exception] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
_INTERRUPTED = 130
_PLUGIN = "--plugin"
_LOOP = "Symlink loop from "


def usage() -> str:
    """The overview that `emofuse --help` prints."""
    lines = [f"  {name:<10} {text}" for name, (_, _, text) in APPS.items()]
    return "\n".join(
        [
            "Usage: emofuse COMMAND ...",
            "",
            "Hyperparameter search and ensembling for emotion recognition in video.",
            "",
            *lines,
            "",
            "Each command has --help with an example, and takes --plugin FILE (families, feature sets, data sets and",
            "fusion methods of your own: docs/extending.md). --install-completion lets your shell complete all of it.",
            "Start with: emofuse demo, or for clips of your own: emofuse init FOLDER",
        ]
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; exit codes are 0 done, 1 failed work, 2 wrong use."""
    arguments = sys.argv[1:] if arguments is None else arguments
    print_anything()
    sys.excepthook = _show_masked
    try:
        code = run(arguments)
        if remote := sys.modules.get("search.run.remote"):
            remote.push_all()
        return code
    except BrokenPipeError:
        return 1
    except EmofuseError as error:
        return _tell(error)
    except OSError as error:
        return _tell(refused(error))
    except (ImportError, RuntimeError) as error:
        if str(error).startswith(_LOOP):  # as Python tells of links that lead in a circle
            return _tell(refused(OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(error)[len(_LOOP) :].strip("'"))))
        if (fault := machine_fault(error, "This command")) is None:
            raise
        return _tell(fault)
    except MemoryError:
        return _tell(EmofuseError("Main memory ran out; close other programs, or take a machine with more."))
    except (KeyboardInterrupt, typer.Abort):
        print("emofuse: interrupted; the same command goes on where this one stopped.", file=sys.stderr)
        return _INTERRUPTED


def _show_masked(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(masked("".join(traceback.format_exception(kind, error, trace))))


def _tell(error: EmofuseError) -> int:
    print(f"emofuse: {error}", file=sys.stderr)
    return error.exit_code


def run(arguments: list[str]) -> int:
    """Find the command's app and run it."""
    if completion.VARIABLE in os.environ or (arguments[:1] and arguments[0].partition("=")[0] in completion.OPTIONS):
        completion.complete(APPS, arguments)
    arguments = _with_plugins(arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        from importlib.metadata import version

        print(f"emofuse {version('emofuse')}")
        return 0
    name, *rest = arguments
    if name not in APPS:
        from features.names import unknown_name

        raise unknown_name("command", name, APPS)
    module, attribute, _ = APPS[name]
    app = getattr(import_module(module), attribute)
    if name == "clips":
        import_module(module).offer_plugins()
    try:
        result = typer.main.get_command(app).main(rest, prog_name=f"emofuse {name}", standalone_mode=False)
    except typer.Exit as stop:
        return stop.exit_code
    except ClickException as error:
        error.show()  # type: ignore[attr-defined]
        return error.exit_code  # type: ignore[attr-defined]
    if result == _INTERRUPTED:  # typer's answer to Ctrl-C, without a word
        raise KeyboardInterrupt
    return result if isinstance(result, int) else 0


def _with_plugins(arguments: list[str]) -> list[str]:
    """The arguments without `--plugin FILE`, wherever it stands; the files are used from here on."""
    from features.plugins.files import use

    left: list[str] = []
    given = iter(arguments)
    for argument in given:
        option, equals, file = argument.partition("=")
        if option != _PLUGIN:
            left.append(argument)
            continue
        file = file if equals else next(given, "")
        if not file:
            raise WrongUse(f"{_PLUGIN} needs a file: {_PLUGIN} my_family.py.")
        use(Path(file))
    return left
