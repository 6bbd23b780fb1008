"""Runs on an object store: everything works on a local mirror of `s3://bucket/run`, which is kept in step with it.

The store is the truth. The driver's mirror is brought up to date before work and written back while it works; a worker
fetches what a trial reads, and puts what it wrote there before it says that the trial ended. An object is put in one
piece, so a reader sees the old one or the new one.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from features.disk.scratch import private_folder
from features.errors import WrongUse
from features.files import content_key, replacing
from features.masking import masked
from features.progress import say
from search.run import lease

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

Role = Literal["driver", "worker", "reader"]
_LEASE = "driver.json"
_THREADS = 16
_WITH_BUCKETS = ("s3", "gs", "gcs", "abfs")
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


def shown(run: Path) -> str:
    """How a run's place is told: the URI that it mirrors, without credentials, or its path as it was given."""
    remote = remote_of(run)
    return masked(remote.uri) if remote else str(run)


def push_all() -> None:
    """Write back what a command added to the mirrors that it opened."""
    for remote in _open.values():
        if remote.role != "worker":  # which writes back what a trial wrote, and no more
            remote.push()


class Remote:
    """A run on an object store and its mirror on this machine.

    `uri` is anything that pyarrow's `FileSystem.from_uri` takes: s3, gs, hdfs, file. Mirrors lie under
    EMOFUSE_CACHE (default ~/.cache/emofuse), one for each role, so that a reader never disturbs a driver.
    """

    def __init__(self, uri: str, role: Role):
        self.uri, self.role = uri.rstrip("/"), role
        self._fs, self._base = _filesystem(self.uri)
        cache = Path(os.environ.get("EMOFUSE_CACHE", Path.home() / ".cache" / "emofuse"))
        self.local = cache / "runs" / content_key(self.uri)[:16] / role
        private_folder(cache / "runs")
        self.local.mkdir(parents=True, exist_ok=True)
        self._seen: dict[str, tuple[int, int]] = {}

    @property
    def tune_storage(self) -> dict[str, Any]:
        """Where Tune may keep its own files, which all nodes must reach: arguments of its RunConfig."""
        return {"storage_path": f"{self._base}/.tune", "storage_filesystem": self._fs}

    def pull(self, *below: str) -> None:
        """Fetch all objects (or those under `below`) that the mirror lacks or has in another state."""
        found = [info for prefix in below or ("",) for info in self._list(prefix)]
        stale = [(name, info) for name, info in found if not _same(self.local / name, info)]
        self._parallel(lambda item: self._fetch(*item), stale)
        for name, _ in found:
            if (self.local / name).exists():
                self._seen[name] = _state(self.local / name)

    def push(self, *below: str) -> None:
        """Put all files (or those under `below`) that changed here since they were last pulled or pushed.

        What was there and was removed here since is removed there too.
        """
        here = self._files(below)
        self._parallel(self._put, [name for name in here if self._seen.get(name) != _state(self.local / name)])
        for name in self._seen.keys() - set(here):
            if not below or any(PurePosixPath(name).is_relative_to(place) for place in below):
                self.delete(name)
                self._seen.pop(name)

    def top(self) -> list[str]:
        """The names of the run's folders and files, as they lie on the store."""
        from pyarrow.fs import FileSelector

        names = [info.base_name for info in self._fs.get_file_info(FileSelector(self._base, allow_not_found=True))]
        return [name for name in names if not _hidden(name) and name != _LEASE]

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
            if name not in self._seen:
                (self.local / name).unlink(missing_ok=True)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other drivers away and write the mirror back every few seconds, and once more at the end."""
        own = lease.Lease(self.uri, self._read_lease, lambda text: self._write(_LEASE, text.encode()))
        own.take()
        done = threading.Event()

        def keep() -> None:
            while not done.wait(lease.BEAT_S):
                try:
                    own.beat()
                    self.push()
                except OSError as error:
                    say(f"{self.uri}: can't be written now ({_line(error)}); trying again")

        thread = threading.Thread(target=keep, name="emofuse-remote", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            self.push()
            self.delete(_LEASE)

    def _read_lease(self) -> str | None:
        try:
            with self._fs.open_input_stream(f"{self._base}/{_LEASE}") as stream:
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
        names = [(str(PurePosixPath(info.path).relative_to(self._base)), info) for info in found if info.is_file]
        return [(name, info) for name, info in names if not _hidden(name) and name != _LEASE]

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
        from pyarrow.fs import LocalFileSystem

        place = f"{self._base}/{name}"
        if isinstance(self._fs, LocalFileSystem):
            with replacing(Path(place)) as temporary:
                temporary.write_bytes(data)
            return
        with self._fs.open_output_stream(place) as stream:
            stream.write(data)

    def _parallel(self, task: Callable[[Any], None], items: Sequence[Any]) -> None:
        if len(items) < 2:
            for item in items:
                task(item)
            return
        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(task, items))


def _filesystem(uri: str) -> "tuple[FileSystem, str]":
    from pyarrow.fs import FileSystem

    scheme, _, place = uri.partition(":")
    if scheme in _WITH_BUCKETS and not place.strip("/"):
        raise WrongUse(f"{scheme}://: expected a bucket and a folder in it, such as {scheme}://bucket/run.")
    try:
        fs, base = FileSystem.from_uri(uri)
        fs.get_file_info(base)
    except (OSError, ValueError, NotImplementedError) as error:
        raise WrongUse(
            f"{uri}: expected a place that can be reached, such as s3://bucket/run or gs://bucket/run, but "
            f"{_line(error)}"
        ) from None
    return fs, base.rstrip("/")


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _same(path: Path, info: Any) -> bool:
    try:
        return _state(path) == (info.size, info.mtime_ns)
    except FileNotFoundError:
        return False


def _hidden(name: str) -> bool:
    return any(part.startswith(".") or part.endswith(".lock") for part in name.split("/"))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
