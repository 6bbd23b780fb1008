"""Work on many clips in parallel processes, where a process that dies costs the clip that it was working on only."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from features.errors import EmofuseError
from features.workers.own_process import ScriptlessContext

Task = TypeVar("Task")

# Each worker has one core: libraries that start threads of their own would only get in each other's way.
ONE_THREAD = {
    name: "1"
    for name in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMBA_NUM_THREADS",
        "OPENCV_FOR_THREADS_NUM",
    )
}


_DIED = "the process that read it died (crash, out of memory)"
_NO_MEMORY = "main memory ran out while it was read, also when nothing else was"


@dataclass(frozen=True)
class ProcessDied:
    """Stands for the result of a task whose process died of it, or ran out of memory, even when it ran alone."""

    reason: str = _DIED


def run_all(work: Callable[[Task], Any], tasks: Sequence[Task], workers: int) -> Iterator[tuple[Task, Any]]:
    """Yield (task, result) for every task as it finishes, in `workers` processes, or in this one when `workers` is 0.

    When a process dies (a crash in native code, the kernel short of memory) or has no memory left (MemoryError), the
    tasks that were under way run again, one at a time; only one that does so then too gets `ProcessDied`. Any other
    exception of `work` ends the run.
    """
    if workers == 0:
        for task in tasks:
            try:
                result = work(task)
            except MemoryError:
                result = ProcessDied(_NO_MEMORY)
            yield task, result
        return
    waiting = deque(tasks)
    while waiting:
        suspects, _ = yield from _until_death(work, waiting, min(workers, len(waiting)))
        alone = deque(suspects)
        while alone:
            died, reason = yield from _until_death(work, alone, 1)
            for task in died:
                yield task, ProcessDied(reason)


def _until_death(
    work: Callable[[Any], Any], waiting: deque[Any], workers: int
) -> Generator[tuple[Any, Any], None, tuple[list[Any], str]]:
    """Take tasks from `waiting` until none is left or a process died; the tasks that were under way then, and why."""
    under_way: dict[Future[Any], Any] = {}
    # One task more than there are workers keeps them busy; a single worker must have one only, to know the culprit.
    window = workers + 1 if workers > 1 else 1
    reason = _DIED
    with _pool(workers) as pool:
        try:
            while waiting or under_way:
                while waiting and len(under_way) < window:
                    future = pool.submit(work, waiting[0])
                    under_way[future] = waiting.popleft()
                for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                    result = future.result()
                    yield under_way.pop(future), result
        except BrokenProcessPool:
            pass
        except MemoryError:
            reason = _NO_MEMORY
    return list(under_way.values()), reason


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)
    pool = ProcessPoolExecutor(workers, ScriptlessContext(), initializer=_start)
    try:
        try:
            pool.submit(os.getpid).result()
        except BrokenProcessPool:
            raise EmofuseError("Worker processes can't be started here: run in this one with --workers 0.") from None
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _start() -> None:
    # Ctrl-C is the parent's to answer.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # A parent that was killed outright can't tell its workers, which would then wait for tasks for ever.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
