"""Where a run lies: a folder, or a URI whose local mirror is read and written back."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from search.run.remote import remote_of, run_path, shown


def local_folder(place: str | Path) -> Path:
    """The folder of the run at `place`; of a URI its mirror, brought up to date."""
    return run_path(str(place)).expanduser()


def place_name(run: Path) -> str:
    """The run's place as people write it: its path, or the URI that the folder mirrors."""
    return shown(run)


def use_plugins(plugins: Sequence[str | Path]) -> None:
    """Take these files' plug-ins from here on; WrongUse for one that is no plug-in."""
    from features.plugins.files import use

    for file in [plugins] if isinstance(plugins, str | Path) else plugins:
        use(Path(file))


@contextmanager
def written_back(run: Path) -> Iterator[None]:
    """What is added to the run inside the block reaches the object store that it mirrors."""
    yield
    if remote := remote_of(run):
        remote.push()
