"""Runs on an object store: everything works on a local mirror of `s3://bucket/run`, which is kept in step with it.

The store is the truth. The driver's mirror is brought up to date before work and written back while it works; a worker
fetches what a trial reads, and puts what it wrote there before it says that the trial ended. An object is put in one
piece, so a reader sees the old one or the new one.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from features.disk.scratch import private_folder
from features.disk.stores import open_store, put
from features.files import content_key, replacing
from features.masking import masked
from features.progress import progress
from search.run import lease
from search.run.lease import Keeper

Role = Literal["driver", "worker", "reader", "watcher", "button"]
_LEASE, _STOP = "driver.json", "stop.json"
_OWN = (_LEASE, _STOP)  # between drivers and those who look on: no files of the run
_THREADS = 16
_MANY = 500  # files, that are worth a word
# What a page reads beside the files in the run's folder itself.
_WATCHED = ("predictions", "trials", "running", "ensembles")
# Who looks on derives this, too, and it may be deleted.
_DERIVED = "fused.jsonl"
_open: dict[Path, "Remote"] = {}


def is_uri(place: str | Path) -> bool:
    """Whether a run's place is a URI (`s3://bucket/run`) and not a path."""
    return "://" in str(place)


def remote_of(run: Path) -> "Remote | None":
    """The remote that the local folder `run` mirrors, None for an ordinary run folder."""
    return _open.get(run.resolve())


def opened(uri: str, role: Role) -> "Remote":
    """The run at `uri`, which `remote_of` its mirror finds from now on."""
    remote = Remote(uri, role)
    _open[remote.local.resolve()] = remote
    return remote


def mirrored(place: str, role: Role) -> Path:
    """The run folder to work on for `place`: the path itself, or for a URI its local mirror, brought up to date."""
    if not is_uri(place):
        return Path(place)
    remote = opened(place, role)
    remote.pull()
    remote.forget_stale()
    return remote.local


def run_path(place: str) -> Path:
    """A command's RUN argument: a folder, or a URI whose mirror is read and, when the command ends, written back."""
    return mirrored(place, "reader")


def search_path(place: str) -> Path:
    """The place of a search: a folder, or a URI whose mirror the search writes back while it works."""
    return mirrored(place, "driver")


def watched_path(place: str) -> Path:
    """The place of a page: a folder, or a URI whose mirror holds what pages read, and is never written back."""
    if not is_uri(place):
        return Path(place)
    remote = opened(place, "watcher")
    remote.follow()
    return remote.local


def shown(run: Path) -> str:
    """How a run's place is told: the URI that it mirrors, without credentials, or its path as it was given."""
    remote = remote_of(run)
    return masked(remote.uri) if remote else str(run)


def push_all() -> None:
    """Write back what a command added to the mirrors that it opened."""
    for remote in _open.values():
        if remote.role in ("driver", "reader"):  # the others write back what they are asked to, and no more
            remote.push()


class Remote:
    """A run on an object store and its mirror on this machine.

    `uri` is anything that pyarrow's `FileSystem.from_uri` takes: s3, gs, hdfs, file. Mirrors lie under
    EMOFUSE_CACHE (default ~/.cache/emofuse), one for each role, so that a reader never disturbs a driver.
    """

    def __init__(self, uri: str, role: Role):
        self.uri, self.role = uri.rstrip("/"), role
        self._fs, self._base = open_store(self.uri)
        cache = Path(os.environ.get("EMOFUSE_CACHE", Path.home() / ".cache" / "emofuse"))
        self.local = cache / "runs" / content_key(self.uri)[:16] / role
        private_folder(cache / "runs")
        self.local.mkdir(parents=True, exist_ok=True)
        self._seen: dict[str, tuple[int, int]] = {}
        self._keeper: Keeper | None = None

    @property
    def tune_storage(self) -> dict[str, Any]:
        """Where Tune may keep its own files, which all nodes must reach: arguments of its RunConfig."""
        return {"storage_path": f"{self._base}/.tune", "storage_filesystem": self._fs}

    def pull(self, *below: str) -> None:
        """Fetch all objects (or those under `below`) that the mirror lacks or has in another state."""
        self._take([info for prefix in below or ("",) for info in self._list(prefix)], below)

    def follow(self) -> None:
        """Make the mirror what a page reads of the run now; without changes a request for each folder and 1,000 files.

        Errors: OSError where the store can't be reached.
        """
        from pyarrow.fs import FileSelector

        top = self._fs.get_file_info(FileSelector(self._base, allow_not_found=True))
        found = self._named(top)
        folders = {info.base_name for info in top if not info.is_file} & {*_WATCHED}
        for name in sorted(folders):
            found += self._named(self._fs.get_file_info(FileSelector(f"{self._base}/{name}", recursive=True)))
        self._take(found, ())
        kept = {name for name, _ in found} | {_DERIVED}
        here = [path.name for path in self.local.iterdir() if path.is_file() and not _hidden(path.name)]
        for name in {*here, *self._files(_WATCHED)} - kept:
            (self.local / name).unlink(missing_ok=True)

    def _take(self, found: Sequence[tuple[str, Any]], below: Sequence[str]) -> None:
        """Fetch what the mirror lacks of what was `found` on the store, and know no more of what is gone there."""
        stale = [(name, info) for name, info in found if not _same(self.local / name, info)]
        self._parallel(lambda item: self._fetch(*item), stale)
        there = {name for name, _ in found}
        for name in [name for name in list(self._seen) if name not in there and _is_below(name, below)]:
            self._seen.pop(name, None)
        for name in there:
            if (self.local / name).exists():
                self._seen[name] = _state(self.local / name)

    def push(self, *below: str) -> None:
        """Put all files (or those under `below`) that changed here since they were last pulled or pushed.

        What was there and was removed here since is removed there too.
        """
        here = self._files(below)
        # Who reads adds what it derives, but not in the place of what a driver has derived meanwhile.
        own = [name for name in here if self.role != "reader" or name != _DERIVED]
        self._parallel(self._put, [name for name in own if self._seen.get(name) != _state(self.local / name)])
        for name in self._seen.keys() - set(here):
            if _is_below(name, below):
                self.delete(name)
                self._seen.pop(name)

    def top(self) -> list[str]:
        """The names of the run's folders and files, as they lie on the store."""
        from pyarrow.fs import FileSelector

        names = [info.base_name for info in self._fs.get_file_info(FileSelector(self._base, allow_not_found=True))]
        return [name for name in names if not _hidden(name) and name not in _OWN]

    def mark(self, name: str) -> None:
        """Put an empty object there at once, which no mirror takes along where its name is hidden."""
        self._write(name, b"")

    def marked(self, folder: str) -> set[str]:
        """The names of the objects in a folder, hidden ones too, by one request."""
        from pyarrow.fs import FileSelector

        selector = FileSelector(f"{self._base}/{folder}", allow_not_found=True)
        return {info.base_name for info in self._fs.get_file_info(selector) if info.is_file}

    def delete(self, below: str) -> None:
        """Remove `below`, a file or a folder with all that is in it, from the store; nothing where it is absent."""
        from pyarrow.fs import FileType

        place = f"{self._base}/{below}"
        kind = self._fs.get_file_info(place).type
        try:
            if kind == FileType.Directory:
                self._fs.delete_dir(place)
            elif kind == FileType.File:
                self._fs.delete_file(place)
        except FileNotFoundError:
            pass  # someone else was quicker

    def forget_stale(self, *below: str) -> None:
        """Drop from the mirror (or below these places) what the store didn't hold when it was pulled."""
        for name in self._files(below):
            if name not in self._seen and name != _DERIVED:
                (self.local / name).unlink(missing_ok=True)

    def soon(self, *names: str) -> None:
        """Have these put by who holds the run now, not only at its next beat: whoever looks on waits for them."""
        if self._keeper is not None:
            self._keeper.want(names)

    @contextmanager
    def held(self, *below: str) -> Iterator[None]:
        """Keep drivers away and write the mirror (or `below`) back every few seconds, and once more at the end."""
        place = masked(self.uri)
        own = lease.Lease(place, lambda: self._read(_LEASE), lambda text: self._write(_LEASE, text.encode()))
        own.take()
        self._keeper = Keeper(own, lambda *names: self.push(*(names or below)), lambda: self._read(_STOP))
        try:
            with self._keeper.kept():
                yield
        finally:
            self._keeper = None
            self.push(*below)
            for name in _OWN:
                self.delete(name)

    def ask_to_stop(self, host: str, pid: int) -> None:
        """Ask the driver that is this process of this host to stop as Ctrl-C does; it looks at each beat."""
        self._write(_STOP, lease.signed(host, pid).encode())

    def _read(self, name: str) -> str | None:
        try:
            with self._fs.open_input_stream(f"{self._base}/{name}") as stream:
                return stream.read().decode(errors="replace")
        except FileNotFoundError:
            return None

    def _list(self, below: str) -> list[tuple[str, Any]]:
        from pyarrow.fs import FileSelector, FileType

        place = f"{self._base}/{below}".rstrip("/")
        single = self._fs.get_file_info(place)
        if below and single.type == FileType.File:
            return [(below, single)]
        found = self._fs.get_file_info(FileSelector(place, recursive=True, allow_not_found=True))
        return self._named(found)

    def _named(self, found: Sequence[Any]) -> list[tuple[str, Any]]:
        """Objects by their names in the run."""
        names = [(str(PurePosixPath(info.path).relative_to(self._base)), info) for info in found if info.is_file]
        return [(name, info) for name, info in names if not _hidden(name) and name not in _OWN]

    def _files(self, below: Sequence[str]) -> list[str]:
        found: list[str] = []
        for place in [self.local / name for name in below] or [self.local]:
            paths = [place] if place.is_file() else place.rglob("*")
            found += [path.relative_to(self.local).as_posix() for path in paths if path.is_file()]
        return [name for name in found if not _hidden(name)]

    def _fetch(self, name: str, info: Any) -> None:
        try:
            with self._fs.open_input_stream(info.path) as stream, replacing(self.local / name) as temporary:
                with temporary.open("wb") as file:
                    while piece := stream.read(1 << 22):
                        file.write(piece)
                os.utime(temporary, ns=(info.mtime_ns, info.mtime_ns))
        except FileNotFoundError:
            return  # a checkpoint that its worker has just dropped

    def _put(self, name: str) -> None:
        try:
            before = _state(self.local / name)
            data = (self.local / name).read_bytes()
            # A journal that is being written ends in half a line.
            self._write(name, data[: data.rfind(b"\n") + 1] if name.endswith(".journal") else data)
        except FileNotFoundError:
            return
        self._seen[name] = before

    def _write(self, name: str, data: bytes) -> None:
        put(self._fs, f"{self._base}/{name}", data)

    def _parallel(self, task: Callable[[Any], None], items: Sequence[Any]) -> None:
        if len(items) < 2:
            for item in items:
                task(item)
            return
        told = progress("files of the run", len(items)) if len(items) >= _MANY else nullcontext()
        with ThreadPoolExecutor(_THREADS) as pool, told as counter:
            for _ in pool.map(task, items):
                if counter is not None:
                    counter.advance()


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _same(path: Path, info: Any) -> bool:
    try:
        return _state(path) == (info.size, info.mtime_ns)
    except FileNotFoundError:
        return False


def _is_below(name: str, places: Sequence[str]) -> bool:
    """Whether `name` is one of the places or in one; of no places everything is."""
    return not places or any(PurePosixPath(name).is_relative_to(place) for place in places)


def _hidden(name: str) -> bool:
    return any(part.startswith(".") or part.endswith(".lock") for part in name.split("/"))
