"""Several nodes on this machine, reached as a session of the program's is: on loopback, with a token of their own."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from features.disk.scratch import session_folder
from features.workers.ray_access import changed_environment, own_access

MEMORY = {"object_store_memory": 80 * 2**20}


@contextmanager
def own_cluster(**head: Any) -> Iterator[Any]:
    """A head without CPUs, to which `add_node` adds; commands started meanwhile find token and address."""
    with (
        session_folder() as folder,
        changed_environment({"RAY_USAGE_STATS_ENABLED": "0"}),
        own_access(folder / "token"),
    ):
        from ray.cluster_utils import Cluster

        temp = {"temp_dir": str(folder / "ray")}
        args = {"num_cpus": 0, "include_dashboard": False, **temp, **MEMORY, **head}
        made = Cluster(initialize_head=True, head_node_args=args)
        try:
            yield made
        finally:
            made.shutdown()
