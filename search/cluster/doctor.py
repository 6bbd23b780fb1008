"""Checks before a search starts: what would fail after hours, or only on some node, told in a line with what to do."""

import secrets
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from features.clips import read_clips
from features.errors import EmofuseError
from features.masking import masked
from features.store.store import open_set
from features.workers.ray_access import asks_for_token
from features.workers.ray_session import ray_session
from search.cluster.capacity import Capacity
from search.cluster.nodes import ask_every_node, cluster_address, read_capacity
from search.cluster.probe import MARKER, Answer, Question, probe
from search.recipe.estimate import disk_need
from search.recipe.inputs import source, split_layer
from search.recipe.recipe import Recipe
from search.run.remote import is_uri
from search.trial.heartbeats import is_running

# What must be the same everywhere, or trials compute (or pickle) something else.
_COMPARED = ("python", "ray", "torch", "optuna", "numpy", "emofuse")
Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: how it stands, and in `text` what to do where it isn't well."""

    level: Level
    about: str
    text: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", masked(self.text))

    def __str__(self) -> str:
        return f"{self.level:<7}  {self.about:<8}  {self.text}"


@dataclass(frozen=True)
class Patient:
    """The search that is asked about; what is None is not looked at. `run` is an absolute path or a URI."""

    recipe: Recipe
    clips: Path | None = None
    store: Path | None = None
    stills: Path | None = None
    run: str | None = None
    address: str | None = None

    def reads(self) -> tuple[tuple[str, str], ...]:
        """(table, feature set) for all that the first look at the recipe says it reads; layers come later."""
        found = []
        for stage, entry in self.recipe.all_entries():
            if stage == "fusion":
                continue
            table = self.stills if stage == "backbone" else self.clips
            specs = [source(spec) for spec in entry.input_specs().values() if split_layer(source(spec)) is None]
            found += [(str(table.resolve()), spec) for spec in specs if table is not None]
        return tuple(dict.fromkeys(found))


def examine(patient: Patient) -> Iterator[Finding]:
    """All findings, as they are made; starts Ray on this machine, or joins the cluster at the patient's address."""
    with ExitStack() as stack:
        stack.enter_context(ray_session(patient.address, allow_open=True))
        capacity = read_capacity(own=patient.address is None)
        yield from _requests(patient.recipe, capacity)
        token = secrets.token_hex(8)
        question = Question(
            folder=stack.enter_context(_marker(patient.run, token)) if patient.run else None,
            token=token,
            store=str(patient.store.resolve()) if patient.store else None,
            reads=patient.reads(),
        )
        here = probe(question)
        said = ask_every_node(probe, question)
        answers = {name: answer for name, answer in said.items() if isinstance(answer, Answer)}
        for name, why in said.items():
            if name not in answers:
                yield Finding("problem", "node", f"{name} can't run emofuse: {why}; install it there as it is here.")
        yield from _storage(patient, answers)
        yield from _versions(here, answers)
        yield from _stills(patient)
        yield from _features(patient, here, answers)
        yield from _failed_clips(patient, here)
        yield from _gpus(patient.recipe, capacity, answers)
        yield _access()
        yield from _disk(patient, capacity)


@contextmanager
def _marker(place: str, token: str) -> Iterator[str]:
    """A folder with a marker in the run's place; both go away again, unless the run's was there before."""
    from pyarrow.fs import FileSystem

    name = f".doctor-{secrets.token_hex(4)}"
    made = not is_uri(place) and not Path(place).exists()
    try:
        files, path = FileSystem.from_uri(place)
        files.create_dir(f"{path}/{name}", recursive=True)
        with files.open_output_stream(f"{path}/{name}/{MARKER}") as stream:
            stream.write(token.encode())
    except (OSError, ValueError) as error:
        raise EmofuseError(f"{place}: the run can't be written ({error}); choose another place with -o.") from None
    try:
        yield f"{place}/{name}"
    finally:
        files.delete_dir(f"{path}/{name}")
        if made:
            Path(place).rmdir()


def _requests(recipe: Recipe, capacity: Capacity) -> Iterator[Finding]:
    for _, entry in recipe.all_entries():
        request = capacity.trimmed(entry.request())
        asked = f"{entry.name}: {request.cpu:g} CPU, {request.gpu:g} GPU, {request.main_mb} MB a trial"
        if capacity.fits(request):
            yield Finding("ok", "requests", f"{asked}; {capacity.at_once(request)} at a time")
        elif capacity.grows:
            yield Finding(
                "warning",
                "requests",
                f"{entry.name}: {capacity.unmet(request)}; its trials wait until the autoscaler brings a node that "
                "has it, so see that a node type does.",
            )
        else:
            yield Finding(
                "problem",
                "requests",
                f"{entry.name}: {capacity.unmet(request)}; lower its `resources` in the recipe, or add such a node.",
            )
        if (request.cpu, request.memory_mb) != (entry.request().cpu, entry.request().memory_mb):
            yield Finding(
                "warning",
                "requests",
                f"{entry.name} wants {entry.request().cpu:g} CPU and {entry.request().memory_mb} MB, more than this "
                "machine has; its trials run one at a time with what there is.",
            )
    wishes = {entry.name: entry.request() for _, entry in recipe.all_entries()}
    without = [name for name, request in wishes.items() if request.gpu > capacity.trimmed(request).gpu]
    if without:
        yield Finding("warning", "gpu", f"there is no GPU, so trials of {', '.join(without)} train on CPUs.")


def _storage(patient: Patient, answers: Mapping[str, Answer]) -> Iterator[Finding]:
    if patient.run is None:
        yield Finding("warning", "storage", "not looked at: give the run's folder with -o.")
        return
    apart = {name: answer.marker for name, answer in answers.items() if answer.marker}
    for name, why in apart.items():
        yield Finding(
            "problem",
            "storage",
            f"{name}: {patient.run} is not shared, {why}; mount the same storage at this path on every node.",
        )
    if not is_uri(patient.run) and is_running(Path(patient.run)):
        yield Finding("warning", "storage", f"another search works on {patient.run} now; wait for it, or stop it.")
    if answers and not apart:
        yield Finding("ok", "storage", f"{patient.run} is read and written by {_nodes(answers)}")


def _versions(here: Answer, answers: Mapping[str, Answer]) -> Iterator[Finding]:
    wrong = False
    for name, answer in answers.items():
        other = [
            f"{library} {answer.versions.get(library, 'absent')} (here {here.versions.get(library, 'absent')})"
            for library in _COMPARED
            if answer.versions.get(library) != here.versions.get(library)
        ]
        if other:
            wrong = True
            yield Finding("problem", "versions", f"{name} has {', '.join(other)}; install the same on every node.")
        elif answer.code != here.code:
            wrong = True
            yield Finding("problem", "versions", f"{name} runs other source files of emofuse; install it there anew.")
    if answers and not wrong:
        same = ", ".join(f"{library} {here.versions[library]}" for library in _COMPARED if library in here.versions)
        yield Finding("ok", "versions", f"{same} and the same source files on {_nodes(answers)}")


def _features(patient: Patient, here: Answer, answers: Mapping[str, Answer]) -> Iterator[Finding]:
    if patient.store is None or patient.clips is None:
        yield Finding("warning", "features", "not looked at: give --clips and --store.")
        return
    for _, why in here.errors:
        yield Finding("problem", "features", why)
    bad = dict(here.errors)
    wrong = False
    for name, answer in answers.items():
        for (table, spec), key in answer.reads.items():
            if spec in bad or key == here.reads[table, spec]:
                continue
            wrong = True
            why = dict(answer.errors).get(spec, "it holds other content there than here")
            yield Finding(
                "problem",
                "features",
                f"{name}: {spec!r} for {table}: {why.rstrip('.')}; put clips and store where every node reaches them.",
            )
    if not bad and not wrong:
        sets = ", ".join(dict.fromkeys(spec for _, spec in here.reads)) or "no feature set"
        yield Finding("ok", "features", f"{sets}: the same fingerprints on {_nodes(answers)}")


def _stills(patient: Patient) -> Iterator[Finding]:
    if patient.stills is None and any(stage == "backbone" for stage, _ in patient.recipe.all_entries()):
        told = (
            "the recipe trains a backbone on labelled stills: give their table with --stills, or the search refuses it"
        )
        yield Finding("problem", "stills", f"{told}.")


def _failed_clips(patient: Patient, here: Answer) -> Iterator[Finding]:
    """How many clips each set lacks; a search goes on without them."""
    for table, spec in patient.reads() if patient.store is not None else ():
        if spec in dict(here.errors) or (table, spec) not in here.reads:
            continue
        stored = open_set(patient.store, spec, read_clips(Path(table)))  # type: ignore[arg-type]
        counts = Counter(stored.status(one) for one in stored.ids if not stored.has(one))
        if counts:
            why = ", ".join(f"{count} {status}" for status, count in counts.most_common())
            lost = f"{counts.total()} of {len(stored)} clips of {Path(table).name} failed ({why})"
            level: Level = "problem" if counts.total() == len(stored) else "warning"
            yield Finding(level, "features", f"{spec}: {lost}; models that read it go without them.")


def _gpus(recipe: Recipe, capacity: Capacity, answers: Mapping[str, Answer]) -> Iterator[Finding]:
    believed = {node.name: node.gpus for node in capacity.nodes if node.gpus}
    wishes = [entry for _, entry in recipe.all_entries() if entry.request().gpu]
    for name, answer in answers.items():
        logical = believed.get(name.partition("/")[0], 0.0)
        if logical > len(answer.gpus):
            yield Finding(
                "problem",
                "gpu",
                f"{name}: Ray was told of {logical:g} GPUs, but its driver knows {len(answer.gpus)}, so trials would "
                "train on CPUs; start Ray there with --num-gpus as many as there are.",
            )
        elif answer.gpus and not answer.torch_gpu:
            yield Finding("problem", "gpu", f"{name}: torch is built for CPUs alone; install the build for its GPUs.")
        for entry in wishes if answer.gpus else ():
            smallest = min(answer.gpus, key=lambda gpu: gpu.total_mb)
            request = entry.request()
            if request.gpu * smallest.total_mb < request.memory_mb:
                enough = min(1.0, -(-request.memory_mb * 100 // smallest.total_mb) / 100)
                yield Finding(
                    "warning",
                    "gpu",
                    f"{entry.name} on {name}: {request.gpu:g} of a GPU is {request.gpu * smallest.total_mb:.0f} MB of "
                    f"{smallest.name}, but a trial may need {request.memory_mb} MB; ask for gpu: {enough:g} under its "
                    "`resources` in the recipe.",
                )
    devices = [gpu for answer in answers.values() for gpu in answer.gpus]
    if devices:
        yield Finding("ok", "gpu", ", ".join(f"{gpu.name} with {gpu.total_mb:.0f} MB" for gpu in devices))


def _access() -> Finding:
    address = cluster_address()
    if asks_for_token(address):
        return Finding("ok", "access", f"{address} turns away whoever has no token")
    return Finding(
        "warning",
        "access",
        f"an open cluster: whoever reaches {address} can run code on every node; start Ray on all of them with "
        "RAY_AUTH_MODE=token and the same RAY_AUTH_TOKEN_PATH (`ray get-auth-token --generate` makes a token). "
        "Commands refuse to join it unless they are given --allow-open-cluster.",
    )


def _disk(patient: Patient, capacity: Capacity) -> Iterator[Finding]:
    if patient.run is None or patient.store is None or patient.clips is None:
        yield Finding("warning", "disk", "not looked at: give --clips, --store and -o.")
        return
    stills = read_clips(patient.stills) if patient.stills else None
    at_once = max((capacity.at_once(entry.request()) for _, entry in patient.recipe.all_entries()), default=1)
    try:
        need = disk_need(patient.recipe, patient.store, read_clips(patient.clips), stills, max(1, at_once))
    except EmofuseError as error:
        yield Finding("warning", "disk", f"the need can't be estimated: {error}")
        return
    if is_uri(patient.run):
        yield Finding("ok", "disk", f"an object store; about {need.total_mb:.0f} MB are needed ({need})")
        return
    run = Path(patient.run)
    there = next(folder for folder in (run, *run.parents) if folder.exists())
    free_mb = shutil.disk_usage(there).free / 2**20
    told = f"{free_mb:.0f} MB are free, about {need.total_mb:.0f} MB are needed ({need})"
    if free_mb < need.total_mb:
        yield Finding("problem", "disk", f"{patient.run}: {told}; free some, or choose another folder with -o.")
    else:
        yield Finding("ok", "disk", told)


def _nodes(answers: Mapping[str, Answer]) -> str:
    return f"all {len(answers)} nodes" if len(answers) > 1 else "the node"
