"""One Ray task: some clips on a node, and what the node says of them. It works where emofuse can't even be imported."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple


class Report(NamedTuple):
    """What a node says of the clips it was given: the first `done` were worked on, of some of them something was found.

    `fault` is why it stopped before the rest, where that is the node's own fault; `found` goes by the clip's place.
    """

    node: str
    done: int
    found: Mapping[int, Any]
    fault: str = ""
    out_of_memory: bool = False


def task_function(work: Callable[[Any], Any], environment: Mapping[str, str]) -> Callable[..., Any]:
    """`submit(tasks, **options)` gives the reference of a task on one CPU that gives a `Report`."""
    import ray
    from ray import cloudpickle

    from features.plugins.shipping import sources

    def on_node(packed: bytes, tasks: bytes, plugins: bytes) -> tuple[Any, ...]:
        # It travels as code, not by name: a node without emofuse, or with another one, says so itself.
        import socket

        import ray
        from ray import cloudpickle

        node = ray.get_runtime_context().get_node_id()
        try:
            from features.plugins.shipping import install
            from features.workers.node_tasks import work_on

            install(cloudpickle.loads(plugins))
            work, given = cloudpickle.loads(packed), cloudpickle.loads(tasks)
        except Exception as error:
            told = f"emofuse can't be used on {socket.gethostname()} ({type(error).__name__}: {error})"
            return node, 0, {}, f"{told}; install the same version there and run the same command."
        return (node, *work_on(work, given))

    remote = ray.remote(num_cpus=1, max_retries=0, runtime_env={"env_vars": dict(environment)})(on_node)
    packed, plugins = ray.put(cloudpickle.dumps(work)), ray.put(cloudpickle.dumps(sources()))

    def submit(tasks: Sequence[Any], **options: Any) -> Any:
        return remote.options(**options).remote(packed, cloudpickle.dumps(tuple(tasks)), plugins)

    return submit


def work_on(work: Callable[[Any], Any], tasks: Sequence[Any]) -> tuple[Any, ...]:
    """Work on the tasks one after another; what a `Report` holds behind its node."""
    from features.errors import MachineFault

    found: dict[int, Any] = {}
    for i, task in enumerate(tasks):
        try:
            result = work(task)
        except MachineFault as fault:
            return i, found, str(fault)
        except MemoryError:
            return i, found, "", True
        if result is not None:
            found[i] = result
    return len(tasks), found
