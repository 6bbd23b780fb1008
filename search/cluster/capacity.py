"""What the machines of a search have, and whether they can meet what its trials ask for."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from features.errors import EmofuseError
from models.family import Resources
from search.run.spec import TrialSpec


@dataclass(frozen=True)
class Node:
    """One machine as Ray counts it: CPUs, GPUs and memory that its trials may share."""

    name: str
    cpus: float
    gpus: float
    memory_mb: float

    def fits(self, request: Resources) -> bool:
        """Whether a trial with this request can ever run here."""
        return request.cpu <= self.cpus and request.gpu <= self.gpus and request.main_mb <= self.memory_mb

    def slots(self, request: Resources) -> int:
        """How many trials with this request run here at the same time; several share a GPU by its fractions."""
        slots = [have / ask for have, ask in ((self.cpus, request.cpu), (self.memory_mb, request.main_mb)) if ask]
        if request.gpu:
            # A part of a GPU is never put together from two.
            slots.append(self.gpus * (1 // request.gpu) if request.gpu < 1 else self.gpus / request.gpu)
        return int(min(slots, default=0))

    def __str__(self) -> str:
        return f"{self.name} with {_amounts(self.cpus, self.gpus, self.memory_mb)}"


@dataclass(frozen=True)
class Capacity:
    """The connected machines. `grows` tells that an autoscaler adds nodes; `own` that it is this machine alone.

    `dashboard` is the address of Ray's dashboard; empty where there is none. `asked` are the requests of the trials to
    come: Ray hands a process on to a trial with the same request only, and a new one takes seconds. `max_concurrent` is
    how many trials may run at once (None: as many as fit).
    """

    nodes: tuple[Node, ...]
    grows: bool = False
    own: bool = False
    dashboard: str = ""
    asked: tuple[Resources, ...] = ()
    max_concurrent: int | None = None

    @property
    def cpus(self) -> float:
        """The CPUs of all nodes."""
        return sum(node.cpus for node in self.nodes)

    @property
    def gpus(self) -> float:
        """The GPUs of all nodes."""
        return sum(node.gpus for node in self.nodes)

    def trimmed(self, request: Resources) -> Resources:
        """The request as it is made here: a GPU where there are any or may come; alone, no more than the machine has.

        On a machine of its own a trial that wants more CPUs or memory than there is runs alone, rather than never.
        """
        request = replace(request, gpu=request.gpu if self.gpus or self.grows else 0.0)
        if not self.own:
            return request
        cpu = min(request.cpu, max(node.cpus for node in self.nodes))
        most = int(max(node.memory_mb for node in self.nodes)) - (request.main_mb - request.memory_mb)
        memory_mb = max(0, min(request.memory_mb, most))
        return replace(request, cpu=cpu, memory_mb=memory_mb)

    def with_request(self, spec: TrialSpec) -> TrialSpec:
        """The same trial with its request as it is made here."""
        request = self.padded(self.trimmed(Resources(spec.cpu, spec.gpu, spec.memory_mb)))
        return replace(spec, cpu=request.cpu, gpu=request.gpu, memory_mb=request.memory_mb)

    def padded(self, request: Resources) -> Resources:
        """The request with as much memory as others of the same CPUs and GPUs ask for, where that costs no slot."""
        slots = self.at_once(request)
        for other in sorted(map(self.trimmed, self.asked), key=lambda other: -other.memory_mb):
            if (other.cpu, other.gpu) == (request.cpu, request.gpu) and other.memory_mb > request.memory_mb:
                wider = replace(request, memory_mb=other.memory_mb)
                if self.at_once(wider) == slots:
                    return wider
        return request

    def fits(self, request: Resources) -> bool:
        """Whether some node can run a trial with this request."""
        return any(node.fits(self.trimmed(request)) for node in self.nodes)

    def at_once(self, request: Resources) -> int:
        """How many trials with this request run at the same time where nothing else does."""
        return sum(node.slots(self.trimmed(request)) for node in self.nodes)

    def slots(self, request: Resources) -> int:
        """How many trials with this request a search runs at the same time."""
        found = self.at_once(request)
        return found if self.max_concurrent is None else min(found, self.max_concurrent)

    def unmet(self, request: Resources) -> str:
        """What is asked for and what there is, for a request that no node fits."""
        asked = self.trimmed(request)
        largest = max(self.nodes, key=lambda node: (node.gpus >= asked.gpu, node.cpus >= asked.cpu, node.memory_mb))
        return (
            f"each trial asks for {_amounts(asked.cpu, asked.gpu, asked.main_mb)}, which none of {len(self.nodes)} "
            f"nodes has (the nearest is {largest})"
        )

    def refuse_unmet(self, requests: Mapping[str, Resources]) -> None:
        """EmofuseError for entries (by name) whose trials would wait for ever, where no node can come that fits."""
        for entry, request in requests.items():
            if not self.grows and not self.fits(request):
                raise EmofuseError(
                    f"Entry {entry!r}: {self.unmet(request)}; lower `resources` of the entry in the recipe, or add a "
                    "node that has it."
                )


def _amounts(cpus: float, gpus: float, memory_mb: float) -> str:
    return f"{cpus:g} CPUs, {gpus:g} GPUs and {memory_mb:.0f} MB"
