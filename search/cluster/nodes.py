"""The nodes of the Ray cluster that this process has joined."""

import json
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from search.cluster.capacity import Capacity, Node

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
    return Capacity(nodes, grows=not own and _has_autoscaler(), own=own, dashboard="" if own else _dashboard())


def _dashboard() -> str:
    from ray.experimental.internal_kv import _internal_kv_get as look_up

    address = (look_up("webui:url", namespace="dashboard") or b"").decode()
    return f"http://{address}" if address else ""


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


def ask_every_node(function: Callable[[Any], Any], question: Any, limit_s: float = 90.0) -> dict[str, Any]:
    """Run `function(question)` once on each live node; by node its result, or one sentence why there is none.

    Nodes are told apart by address, and by a piece of their id where several share one.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    task = ray.remote(num_cpus=0, max_retries=0)(function)
    nodes = [node for node in ray.nodes() if node["Alive"]]
    shared = Counter(node["NodeManagerAddress"] for node in nodes)
    asked = {}
    for node in nodes:
        address, node_id = node["NodeManagerAddress"], node["NodeID"]
        name = address if shared[address] == 1 else f"{address}/{node_id[:6]}"
        here = NodeAffinitySchedulingStrategy(node_id, soft=False)
        asked[name] = task.options(scheduling_strategy=here).remote(question)
    ready, _ = ray.wait(list(asked.values()), num_returns=len(asked), timeout=limit_s)
    return {name: _answer(ref, ref in ready, limit_s) for name, ref in asked.items()}


def _answer(reference: Any, ready: bool, limit_s: float) -> Any:
    import ray

    if not ready:
        ray.cancel(reference, force=True)
        return f"no answer within {limit_s:.0f} s"
    try:
        return ray.get(reference)
    except ray.exceptions.RayError as error:
        # The last line names the error itself; those before it are the worker's traceback.
        return " ".join(str(error).strip().splitlines()[-1].split())


def cluster_address() -> str:
    """host:port of the cluster's control service."""
    import ray

    return ray.get_runtime_context().gcs_address
