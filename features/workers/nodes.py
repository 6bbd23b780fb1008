"""Which nodes of a cluster get clips: not those that said, or were shown, that they can't work."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from features.errors import MachineFault
from features.progress import say

# So many clips that failed on a node and not on another are that node's fault.
_BLAMED = 3


class Nodes:
    """The nodes with CPUs, by Ray's ids, as they are now."""

    def __init__(self) -> None:
        self._refused: dict[str, str] = {}
        self._blamed: Counter[str] = Counter()

    def refuse(self, node: str, fault: str) -> None:
        """Give no more clips to `node`, for this reason; MachineFault when there is no other."""
        if node not in self._refused:
            self._refused[node] = fault
            say(f"{_host(node)} gets no more clips: {fault}")
        alive = _alive()
        if alive and not alive - self._refused.keys():
            raise MachineFault(f"No node of the cluster can go on. {fault}" if len(alive) > 1 else fault)

    def blame(self, nodes: Iterable[str]) -> None:
        """A clip failed on these nodes, and then did not on another."""
        self._blamed.update(set(nodes))
        for node in nodes:
            if self._blamed[node] == _BLAMED and self.other_than((node,)) is not None:
                self.refuse(node, f"{_BLAMED} clips failed there and not on another node; see to it.")

    def other_than(self, nodes: Iterable[str]) -> str | None:
        """A node that gets clips and is none of these; None: there is none."""
        return min(_alive() - self._refused.keys() - set(nodes), default=None)

    def options(self, node: str | None) -> dict[str, Any]:
        """Options of a Ray task: it runs on `node`, or (None) on any that gets clips."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        if node is not None and node not in self._refused:
            return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=True)}
        if not self._refused:
            return {}
        return {"label_selector": {"ray.io/node-id": f"!in({','.join(sorted(self._refused))})"}}


def _alive() -> set[str]:
    import ray

    return {node["NodeID"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")}


def _host(node: str) -> str:
    import ray

    return next((str(found["NodeName"]) for found in ray.nodes() if found["NodeID"] == node), "A node")
