"""What runs now, from small files that each worker and the driver write again every few seconds.

`<run>/running/<trial key>.json` is there while a trial is trained, `<run>/running/search.json` while a search works on
the run. A file that is no longer written belongs to a process that died.
"""

import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from features.disk.sealed import open_line, sealed_line
from features.errors import EmofuseError
from features.files import write_bytes
from features.schema import parse
from search.run.lease import is_locked
from search.run.remote import remote_of
from search.trial.usage import Usage, read_usage

if TYPE_CHECKING:  # a status needs neither recipes nor families
    from models.family import Report
    from search.run.spec import TrialSpec

FOLDER, SEARCH = "running", "search.json"
EVERY_S = 5.0
_REMOTE_EVERY_S = 20.0  # an object store is slower, and may ask money for each write
STALE_S = 60.0  # clocks of machines differ, and storage may be slow
_LOOK_S = 3 * EVERY_S  # what was not written again for so long, whatever its time of change, belongs to nobody
_FIRST_S = 1.0  # a trial that is over by then leaves no file


@dataclass(frozen=True)
class Heartbeat:
    """A trial that runs: where, since when, and the metrics of its epochs since this process took it up.

    `metric` is the one that its search maximises.
    """

    trial_key: str
    config_key: str
    entry: str
    partition: str
    host: str
    pid: int
    started_s: float
    max_epochs: int | None = None
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    curve: tuple[Mapping[str, float], ...] = ()
    usage: Usage = field(default_factory=Usage)
    metric: str = ""

    @property
    def epoch(self) -> int:
        """The last epoch that was measured."""
        return int(self.curve[-1]["epoch"]) if self.curve else 0


@dataclass(frozen=True)
class SearchBeat:
    """The driver of a search; `dashboard` is the address of Ray's, where it has one.

    `heard_s` is when Ray gave its last sign of life (seconds since 1970); None where none is waited for.
    """

    host: str
    pid: int
    started_s: float
    dashboard: str = ""
    heard_s: float | None = None


T = TypeVar("T", Heartbeat, SearchBeat)
_seen: dict[Path, tuple[int, float]] = {}  # the time of change of a file from the future, and when it was seen to be so


@contextmanager
def beating(spec: "TrialSpec", report: "Report | None", every_s: float = EVERY_S) -> "Iterator[Report]":
    """While a trial is trained its file is kept up to date; yields the `report` to train with, which passes all on."""
    curve: list[dict[str, float]] = []
    first = Heartbeat(
        spec.trial_key,
        spec.config_key,
        spec.entry,
        spec.partition,
        socket.gethostname(),
        os.getpid(),
        time.time(),
        spec.epochs or spec.max_epochs,
        dict(spec.hyperparameters),
        metric=spec.metric,
    )

    def hear(epoch: int, metrics: dict[str, float]) -> None:
        while curve and curve[-1]["epoch"] >= epoch:  # memory ran out, and it starts again with smaller batches
            curve.pop()
        curve.append({"epoch": epoch, **metrics})
        if report is not None:
            report(epoch, metrics)

    def now() -> Heartbeat:
        return replace(first, curve=tuple(curve), usage=read_usage())

    with _written(Path(spec.run) / FOLDER / f"{spec.trial_key}.json", now, min(_FIRST_S, every_s), every_s):
        yield hear


@contextmanager
def searching(
    run: Path,
    dashboard: Callable[[], str],
    heard_s: Callable[[], float | None] = lambda: None,
    every_s: float = EVERY_S,
) -> Iterator[None]:
    """While a search works on the run, say so; `dashboard` and `heard_s` are those of a `SearchBeat`."""
    first = SearchBeat(socket.gethostname(), os.getpid(), time.time())

    def now() -> SearchBeat:
        return replace(first, dashboard=dashboard(), heard_s=heard_s())

    with _written(run / FOLDER / SEARCH, now, 0.0, every_s):
        yield


def read_running(run: Path) -> list[Heartbeat]:
    """The trials that run now, the oldest first."""
    paths = [path for path in (run / FOLDER).glob("[!.]*.json") if path.name != SEARCH]
    found = _living({path: beat for path in paths if (beat := _read(path, Heartbeat)) is not None})
    return sorted(found, key=lambda beat: (beat.started_s, beat.trial_key))


def read_search(run: Path) -> SearchBeat | None:
    """The driver that works on the run now."""
    path = run / FOLDER / SEARCH
    beat = _read(path, SearchBeat)
    return next(iter(_living({path: beat})), None) if beat is not None else None


@contextmanager
def _written(path: Path, now: Callable[[], Heartbeat | SearchBeat], first_s: float, every_s: float) -> Iterator[None]:
    over = threading.Event()
    remote, name = remote_of(path.parents[1]), f"{FOLDER}/{path.name}"

    def write() -> None:
        wait_s = first_s
        while not over.wait(wait_s):
            # Watching must not end a trial: a full disk is told by who needs the space.
            with suppress(OSError):
                write_bytes(path, sealed_line(asdict(now())).encode(), sync=False)
                if remote is not None:
                    remote.push(name)
            wait_s = every_s if remote is None else _REMOTE_EVERY_S

    thread = threading.Thread(target=write, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(every_s)  # else it might write once more
        with suppress(OSError):
            path.unlink()
            if remote is not None:
                remote.push(name)


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        return parse(kind, open_line(path.read_text(encoding="utf-8", errors="replace")), path)
    except (OSError, EmofuseError):
        return None  # it ended just now, or another release wrote it


def _living(beats: Mapping[Path, T]) -> list[T]:
    """Those whose process lives: here by its number, elsewhere because its file was written lately.

    A file whose time of change lies ahead of this clock tells nothing by it: whether it is written again is looked at,
    for as long as a few signs of life take.
    """
    here = {path for path, beat in beats.items() if beat.host == socket.gethostname()}
    alive = {path for path in here if _lives(beats[path].pid)}
    age_s = {path: time.time() - changed / 1e9 for path in beats.keys() - here if (changed := _changed_ns(path))}
    alive |= {path for path, age in age_s.items() if -STALE_S <= age <= STALE_S}
    alive |= _written_again([path for path, age in age_s.items() if age < -STALE_S])
    return [beat for path, beat in beats.items() if path in alive]


def _written_again(paths: Sequence[Path]) -> set[Path]:
    """Those that changed of late, as this process saw it; one that it sees for the first time is watched a while."""
    new = {path for path in paths if path not in _seen}
    first = {path: _changed_ns(path) for path in new}
    alive = {path for path in set(paths) - new if _quiet_s(path) <= _LOOK_S}
    until = time.monotonic() + _LOOK_S
    while new and time.monotonic() < until:
        time.sleep(0.1)
        changed = {path for path in new if _quiet_s(path) == 0.0 and _seen[path][0] not in (0, first[path])}
        alive, new = alive | changed, new - changed
    _seen.update({path: (_seen[path][0], -math.inf) for path in new})  # dead until it changes
    return alive


def _quiet_s(path: Path) -> float:
    """For how many seconds this process knows the file to be as it is."""
    changed = _changed_ns(path)
    if path not in _seen or _seen[path][0] != changed:
        _seen[path] = changed, time.monotonic()
        return 0.0
    return time.monotonic() - _seen[path][1]


def _changed_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def is_running(run: Path, search: SearchBeat | None = None) -> bool:
    """Whether a search works on the run now: it holds the lock, or `search`, its sign of life, is another machine's.

    Not every file system shares locks between machines, and the mirrors of an object store share none.
    """
    if search is not None and (search.host != socket.gethostname() or remote_of(run) is not None):
        return True
    return is_locked(run)
