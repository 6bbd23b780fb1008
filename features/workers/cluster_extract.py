"""Work on many clips as Ray tasks, where a process or node that dies costs nothing but the clip that killed it."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from features.errors import EmofuseError
from features.workers.clip_processes import ONE_THREAD, ProcessDied, Task
from features.workers.ray_session import ray_session

# Clips that travel together: enough that a task's round trip is lost among them.
_SHARD = 8
# So often a clip's process may die while it works on that clip alone; a dying node can look like a dying process.
_DEATHS = 3
# A network file system may hide for a while what another machine wrote.
_PATIENCE_S = 30.0

Run = Callable[[Callable[[Any], Any], Sequence[Any], Callable[[Any], bool]], Iterator[tuple[Any, Any]]]


@dataclass(frozen=True)
class _Shard:
    """Clips of one Ray task, and how often its process died when it was but one."""

    tasks: tuple[Any, ...]
    deaths: int = 0


@contextmanager
def cluster(address: str, allow_open: bool = False) -> Iterator[Run]:
    """Join the Ray cluster at `address`; gives `run(work, tasks, written)`, as `clip_processes.run_all`.

    `written(task)` tells whether the task's result lies on the storage that all nodes share. `allow_open` as in
    `ray_session`.
    """
    with ray_session(address, allow_open=allow_open):
        yield _run


def _run(
    work: Callable[[Task], Any], tasks: Sequence[Task], written: Callable[[Task], bool]
) -> Iterator[tuple[Task, Any]]:
    """Yield (task, result) for every task as it finishes; an exception of `work` ends the run."""
    import ray
    from ray.exceptions import NodeDiedError, OutOfMemoryError, RayTaskError, WorkerCrashedError

    waiting = deque(_shards(tasks))
    under_way: dict[Any, _Shard] = {}
    remote = ray.remote(num_cpus=1, max_retries=0, runtime_env={"env_vars": ONE_THREAD})(_work_on)
    shared = False
    try:
        while waiting or under_way:
            # Asked again each time: nodes join and leave. One task more than there are places keeps them busy.
            while waiting and len(under_way) < _places() + 1:
                shard = waiting.popleft()
                under_way[remote.remote(work, shard.tasks)] = shard
            for reference in ray.wait(list(under_way), num_returns=1, timeout=5)[0]:
                shard = under_way.pop(reference)
                try:
                    ray.get(reference)
                except NodeDiedError:
                    left = _left(shard, written)
                    waiting.extend([replace(shard, tasks=left)] if left else [])
                except (WorkerCrashedError, OutOfMemoryError):
                    left = _left(shard, written)
                    deaths = shard.deaths + (len(shard.tasks) == 1)
                    if left and deaths == _DEATHS:
                        yield left[0], ProcessDied()
                        continue
                    waiting.extend(_Shard((task,), deaths) for task in left)
                except RayTaskError as error:
                    raise (error.cause if isinstance(error.cause, EmofuseError) else error) from None
                else:
                    left = ()
                shared = shared or _check_shared(shard, left, written)
                for task in shard.tasks:
                    if task not in left:
                        yield task, None
    finally:
        for reference in under_way:
            ray.cancel(reference, force=True)


def _shards(tasks: Sequence[Any]) -> Iterator[_Shard]:
    # No larger than leaves every place some shards to do, or the last ones are waited for.
    size = max(1, min(_SHARD, int(len(tasks) / (4 * _places()))))
    for start in range(0, len(tasks), size):
        yield _Shard(tuple(tasks[start : start + size]))


def _work_on(work: Callable[[Any], Any], tasks: Sequence[Any]) -> None:
    for task in tasks:
        work(task)


def _places() -> int:
    import ray

    # Where no node has a CPU now, one task waits, so that an autoscaler sees what is wanted.
    return max(1, int(ray.cluster_resources().get("CPU", 0)))


def _left(shard: _Shard, written: Callable[[Any], bool]) -> tuple[Any, ...]:
    return tuple(task for task in shard.tasks if not written(task))


def _check_shared(shard: _Shard, left: Sequence[Any], written: Callable[[Any], bool]) -> bool:
    """Whether something that a node wrote was seen here; told early, not after hours of extraction."""
    done = [task for task in shard.tasks if task not in left]
    deadline = time.monotonic() + _PATIENCE_S
    while done and not any(written(task) for task in done):
        if time.monotonic() > deadline:
            raise EmofuseError(
                "A node of the cluster wrote features that are not seen here: the store must lie on storage that all "
                "nodes share, at the same path."
            )
        time.sleep(0.5)
    return bool(done)
