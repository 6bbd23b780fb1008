"""Work on many clips as Ray tasks, where a process or node that dies costs nothing but the clip that killed it.

A node that says that it can't work (MachineFault) gets no more clips. What only may be a node's fault (a file that it
doesn't find, a process that died) is tried on others; a node that is shown to be the cause gets no more clips either.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from features.errors import EmofuseError
from features.workers.clip_processes import ONE_THREAD, ProcessDied, Task
from features.workers.node_tasks import Report, task_function
from features.workers.nodes import Nodes
from features.workers.ray_session import ray_session

# Clips that travel together: enough that a task's round trip is lost among them.
_SHARD = 8
# So often a clip's process may die while it works on that clip alone; a dying node can look like a dying process.
_DEATHS = 3
# A network file system may hide for a while what another machine wrote.
_PATIENCE_S = 30.0

Run = Callable[[Callable[[Any], Any], Sequence[Any], Callable[[Any], bool], float], Iterator[tuple[Any, Any]]]


@dataclass(frozen=True)
class _Shard:
    """Clips of one Ray task; how often the process died of it when it was but one, and where it failed so far.

    `node` is where it is to run, None: anywhere.
    """

    tasks: tuple[Any, ...]
    deaths: int = 0
    failed_on: tuple[str, ...] = ()
    node: str | None = None


@contextmanager
def cluster(address: str, allow_open: bool = False) -> Iterator[Run]:
    """Join the Ray cluster at `address`; gives `run(work, tasks, written, gpu)`, as `clip_processes.run_all`.

    `written(task)` tells whether the task's result lies on the storage that all nodes share. What `work` returns (a
    ClipFailure) is what a node found, and is believed when every node finds it. `gpu` is the part of a GPU that a task
    asks for, where the cluster has any. `allow_open` as in `ray_session`.
    """
    with ray_session(address, allow_open=allow_open):
        yield lambda work, tasks, written, gpu: _Extraction(work, written, gpu).results(tasks)


class _Extraction:
    """The tasks of one feature set on the nodes of the cluster."""

    def __init__(self, work: Callable[[Task], Any], written: Callable[[Task], bool], gpu: float):
        import ray

        self._written = written
        self._gpu = gpu if ray.cluster_resources().get("GPU") else 0.0
        self._submit = task_function(work, ONE_THREAD)
        self._nodes = Nodes()
        self._waiting: deque[_Shard] = deque()
        self._under_way: dict[Any, _Shard] = {}
        self._shared = False

    def results(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, Any]]:
        """Yield (task, result) for every task as it finishes; an exception of the work ends the run."""
        import ray

        self._waiting.extend(_shards(tasks, self._gpu))
        try:
            while self._waiting or self._under_way:
                # Asked again each time: nodes join and leave. One task more than there are places keeps them busy.
                while self._waiting and len(self._under_way) < _places(self._gpu) + 1:
                    shard = self._waiting.popleft()
                    options = self._nodes.options(shard.node) | ({"num_gpus": self._gpu} if self._gpu else {})
                    self._under_way[self._submit(shard.tasks, **options)] = shard
                for reference in ray.wait(list(self._under_way), num_returns=1, timeout=5)[0]:
                    yield from self._ended(self._under_way.pop(reference), reference)
        finally:
            for reference in self._under_way:
                ray.cancel(reference, force=True)

    def _ended(self, shard: _Shard, reference: Any) -> Iterator[tuple[Task, Any]]:
        import ray
        from ray.exceptions import NodeDiedError, OutOfMemoryError, RayError, WorkerCrashedError

        try:
            report = Report(*ray.get(reference))
        except NodeDiedError:
            left = self._left(shard)
            self._waiting.extend([replace(shard, tasks=left, node=None)] if left else [])
        except (WorkerCrashedError, OutOfMemoryError):
            left = self._left(shard)
            yield from self._died(shard, left)
        except RayError as error:
            raise _told(error) from None
        else:
            left = tuple(task for i, task in enumerate(shard.tasks) if i >= report.done or i in report.found)
            yield from self._reported(shard, report)
        self._shared = self._shared or self._check_shared(shard, left)
        for task in shard.tasks:
            if task not in left:
                yield task, None

    def _reported(self, shard: _Shard, report: Report) -> Iterator[tuple[Task, Any]]:
        """Take account of what a node says of a shard; the clips of which every node said the same."""
        if report.fault:
            self._nodes.refuse(report.node, report.fault)
        elif not report.found and report.done == len(shard.tasks):
            self._nodes.blame([node for node in shard.failed_on if node != report.node])
        for i, failure in report.found.items():
            failed_on = (*shard.failed_on, report.node)
            other = self._nodes.other_than(failed_on)
            if other is None:
                yield shard.tasks[i], failure
            else:
                self._waiting.append(_Shard((shard.tasks[i],), shard.deaths, failed_on, other))
        left = shard.tasks[report.done :]
        if report.out_of_memory:
            yield from self._died(replace(shard, tasks=left[:1], node=report.node), left[:1])
            left = left[1:]
        if left:
            self._waiting.append(_Shard(left, shard.deaths, shard.failed_on))

    def _died(self, shard: _Shard, left: tuple[Task, ...]) -> Iterator[tuple[Task, Any]]:
        """Try again, each alone, what a process died of, and on another node if there is one."""
        alone = len(shard.tasks) == 1
        deaths = shard.deaths + alone
        if left and deaths == _DEATHS:
            yield left[0], ProcessDied()
            return
        failed_on = (*shard.failed_on, shard.node) if alone and shard.node else shard.failed_on
        for task in left:
            # Told where to run, since a process that died can't say where it was.
            node = self._nodes.other_than(failed_on) or self._nodes.other_than(())
            self._waiting.append(_Shard((task,), deaths, failed_on, node))

    def _left(self, shard: _Shard) -> tuple[Any, ...]:
        return tuple(task for task in shard.tasks if not self._written(task))

    def _check_shared(self, shard: _Shard, left: Sequence[Any]) -> bool:
        """Whether something that a node wrote was seen here; told early, not after hours of extraction."""
        done = [task for task in shard.tasks if task not in left]
        deadline = time.monotonic() + _PATIENCE_S
        while done and not any(self._written(task) for task in done):
            if time.monotonic() > deadline:
                raise EmofuseError(
                    "A node of the cluster wrote features that are not seen here: the store must lie on storage that "
                    "all nodes share, at the same path."
                )
            time.sleep(0.5)
        return bool(done)


def _shards(tasks: Sequence[Any], gpu: float) -> Iterator[_Shard]:
    # No larger than leaves every place some shards to do, or the last ones are waited for.
    size = max(1, min(_SHARD, int(len(tasks) / (4 * _places(gpu)))))
    for start in range(0, len(tasks), size):
        yield _Shard(tuple(tasks[start : start + size]))


def _places(gpu: float) -> int:
    import ray

    there = ray.cluster_resources()
    most = min(there.get("CPU", 0), there.get("GPU", 0) / gpu) if gpu else there.get("CPU", 0)
    # Where no node has a CPU now, one task waits, so that an autoscaler sees what is wanted.
    return max(1, int(most))


def _told(error: Exception) -> Exception:
    """What ended a task: the work's own sentence, or Ray's first line where a process could not even start."""
    from ray.exceptions import RayTaskError

    cause = getattr(error, "cause", None)
    if isinstance(cause, EmofuseError):
        return cause
    if isinstance(error, RayTaskError):
        return error
    return EmofuseError(
        f"A task could not be started on the cluster ({str(error).strip().splitlines()[0][:300]}); see to its nodes "
        "(disk, memory, Ray's logs) and run the same command: it goes on where this one stopped."
    )
