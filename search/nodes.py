"""The nodes of the Ray cluster that this process has joined."""

import json
import time

from search.capacity import Capacity, Node

# A head that was started a moment ago has not yet said whether it has an autoscaler.
_PATIENCE_S = 6.0
# Node types that Ray makes up itself where nobody launches nodes for it.
_UNLAUNCHED = ("node_", "local.cluster.node")


def read_capacity(own: bool) -> Capacity:
    """The live nodes; `own`: they are this machine, where Ray was started for this work alone."""
    import ray

    nodes = tuple(
        Node(
            name=node["NodeManagerAddress"],
            cpus=node["Resources"].get("CPU", 0.0),
            gpus=node["Resources"].get("GPU", 0.0),
            memory_mb=node["Resources"].get("memory", 0.0) / 2**20,
        )
        for node in ray.nodes()
        if node["Alive"]
    )
    return Capacity(nodes, grows=not own and _has_autoscaler(), own=own)


def _has_autoscaler() -> bool:
    from ray.experimental.internal_kv import _internal_kv_get as look_up

    if look_up("__autoscaler_v2_enabled", namespace="__autoscaler") == b"1":
        return True
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        report = json.loads(look_up("__autoscaling_status") or "{}").get("autoscaler_report")
        if report or time.monotonic() > deadline:
            types = ((report or {}).get("node_type_mapping") or {}).values()
            return any(not kind.startswith(_UNLAUNCHED) for kind in types)
        time.sleep(0.5)
