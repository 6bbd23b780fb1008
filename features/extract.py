"""Extraction: feature sets over all clips, in parallel, resumable; a bad clip is a row with a reason, never the end."""

import socket
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from features.clips import ClipTable, check_ids
from features.cores import cores
from features.errors import ClipFailure, EmofuseError, MachineFault, WrongUse
from features.one_clip import extract_clip, unreachable
from features.progress import progress, say
from features.sets import Extracted, FeatureArray, Media, SetSpec, get_set, parse_spec
from features.store.set_writer import SetWriter
from features.store.store import StoredSet, set_writer
from features.together import Clip, Clips, check_same, each, extract_together, grouped
from features.unwritable import refused
from features.workers.clip_processes import ProcessDied, run_all
from features.workers.cluster_extract import Run, cluster

_SHOWN_REASONS = 3
# So many clips may kill their processes before the first that doesn't; then it is the machine that does.
_DEATHS = 5


@dataclass(frozen=True)
class SetSummary:
    """How the extraction of one set went: clips by status, and the (clip_id, status, reason) of those that failed.

    `computed` counts the others by how that was done, where it depends on the machine (see FeatureArray).
    """

    spec: str
    key: str
    statuses: Mapping[str, int]
    failures: tuple[tuple[str, str, str], ...]
    seconds: float
    skipped: bool
    computed: Mapping[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> int:
        """The number of clips with features."""
        return self.statuses.get("ok", 0)

    def check(self) -> None:
        """EmofuseError where no clip has features."""
        if self.ok == 0:
            clip_id, status, reason = self.failures[0]
            raise EmofuseError(
                f"Feature set {self.spec!r}: none of the {len(self.failures)} clips gave features, the first is "
                f"{clip_id!r}: {status} ({reason})."
            )

    def __str__(self) -> str:
        failed = ", ".join(f"{count} {status}" for status, count in sorted(self.statuses.items()) if status != "ok")
        text = f"{self.spec}: {self.ok} clips ok" + (f", failed: {failed}" if failed else "")
        text += " (verified, nothing to do)" if self.skipped else f" in {self.seconds:.1f} s"
        several = len(self.computed) > 1
        how = [f"{how} ({count} clips)" if several else how for how, count in sorted(self.computed.items())]
        return text + (f"; computed in {' and in '.join(how)}" if how else "")


def extract(
    table: ClipTable,
    specs: Sequence[str],
    store: Path,
    *,
    workers: int | None = None,
    retry_failed: bool = False,
    address: str | None = None,
    allow_open: bool = False,
) -> tuple[SetSummary, ...]:
    """Extract the sets `specs` for all clips into `store`, with progress and a summary on stderr.

    Clips that are done and whose checksums hold are skipped, also after a kill. `workers` processes (None: one for each
    core; 0: in this process), or tasks on the Ray cluster at `address`, whose nodes reach media and store at the same
    paths; `allow_open` also where that asks nobody for a token. `retry_failed` tries the clips again that failed in an
    earlier run; those that were missing then and are there now are tried anyway.

    MachineFault where this machine, or every node of the cluster, can't do it: nothing is recorded for the clips that
    it met, and the same call goes on after the repair.
    """
    if address and workers is not None:
        raise WrongUse("--workers is for processes on this machine: the cluster at --address has its own.")
    if not table.clips:
        raise EmofuseError("The clip table is empty: there is nothing to extract.")
    check_ids(table)
    table, store = replace(table, root=table.root.resolve()), store.resolve()
    summaries = []
    with _executor(address, allow_open, workers) as run:
        for spec in [parse_spec(text) for text in dict.fromkeys(specs)]:
            try:
                summaries.append(_extract_set(table, spec, store, run, retry_failed))
            except OSError as error:
                raise refused(error, store) from None
            _tell(summaries[-1])
    return tuple(summaries)


@contextmanager
def _executor(address: str | None, allow_open: bool, workers: int | None) -> Iterator[Run]:
    """Who works: `run(work, tasks, written, gpu)` yields (task, result) in processes here, or on a cluster."""
    if address is not None:
        with cluster(address, allow_open) as run:
            yield run
    else:
        yield lambda work, tasks, written, gpu: run_all(work, tasks, _processes(workers, gpu))


def _processes(workers: int | None, gpu: float) -> int:
    """As asked for, else one for each core; of those that share a GPU no more than fit."""
    if workers is not None or not gpu:
        return cores() if workers is None else workers
    from torch.cuda import device_count

    devices = device_count()
    return min(cores(), max(1, int(devices / gpu))) if devices else cores()


def _tell(summary: SetSummary) -> None:
    say(str(summary))
    for clip_id, status, reason in summary.failures[:_SHOWN_REASONS]:
        say(f"  {clip_id}: {status}, {reason}")
    if len(summary.failures) > _SHOWN_REASONS:
        say(f"  ... and {len(summary.failures) - _SHOWN_REASONS} more, told in the set's clips.parquet")


def _extract_set(table: ClipTable, spec: SetSpec, store: Path, run: Run, retry_failed: bool) -> SetSummary:
    started = time.monotonic()
    writer = set_writer(store, spec, table)
    done = writer.done_ids(failed=not retry_failed, again=lambda clip_id: _is_there(table, clip_id))
    stored = writer.finished()
    if writer.folder.exists() and stored is None:
        say(f"{spec}: the stored set is damaged and is extracted again")
    if stored is not None and (damaged := [i for i in stored.ids if stored.has(i) and i not in done]):
        more = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
        say(f"{spec}: the stored features of clip {damaged[0]}{more} are damaged and are extracted again")
    tasks: list[tuple[str, Media]] = []
    for clip in table.clips:
        if clip.clip_id in done:
            continue
        try:
            tasks.append((clip.clip_id, table.media(clip)))
        except ClipFailure as failure:
            writer.fail(clip.clip_id, failure)
    if len(done) == len(table) and stored is not None:
        return _summary(stored, started, skipped=True)
    _work(spec, writer, tasks, run)
    return _summary(writer.finish(), started, skipped=False)


def _work(spec: SetSpec, writer: SetWriter, clips: Sequence[Clip], run: Run) -> None:
    """Write a part for each of the clips."""
    feature_set = get_set(spec.name)
    job = _Job(replace(spec, params=feature_set.located(spec.params)), replace(writer, clip_ids=()))
    tasks, began = grouped(clips, feature_set), time.monotonic()

    def written(task: Clips) -> bool:
        return all(writer.written(clip_id) for clip_id, _ in task)

    with progress(f"extract {spec}", len(clips)) as counter:
        while tasks:
            suspects: list[Clips] = []
            for clip_id, failed in _results(each(run(job.run, tasks, written, feature_set.gpu), suspects)):
                if failed is not None:
                    writer.fail(clip_id, failed)
                counter.advance(1, f"{(counter.done + 1) / (time.monotonic() - began):.3g} clips/s")
            tasks = suspects


def _is_there(table: ClipTable, clip_id: str) -> bool:
    try:
        return unreachable(table.media(table.by_id(clip_id)).path) is None
    except ClipFailure:
        return False


def _results(results: Iterator[tuple[Clip, Any]]) -> Iterator[tuple[str, ClipFailure | None]]:
    """The clips that are done, with the failure that is still to be recorded.

    Deaths are held back until a clip is done: where each of the first ones kills its process, no clip is to blame.
    """
    held: list[tuple[str, ClipFailure]] = []
    some_done = False
    for (clip_id, _), result in results:
        if not isinstance(result, ProcessDied):
            some_done = some_done or result is None
            yield clip_id, result
        else:
            held.append((clip_id, ClipFailure("unreadable", result.reason)))
        if some_done:
            yield from held
            held.clear()
        elif len(held) == _DEATHS:
            raise MachineFault(
                f"None of {_DEATHS} clips could be read on {socket.gethostname()}: {held[0][1].reason}; see whether "
                "its memory is free and its libraries fit its processor, and run the same command: it goes on where "
                "this one stopped."
            )
    yield from held


def _summary(stored: StoredSet, started: float, *, skipped: bool) -> SetSummary:
    failures = tuple((i, stored.status(i), stored.reason(i)) for i in stored.ids if not stored.has(i))
    statuses = Counter(stored.status(i) for i in stored.ids)
    computed = Counter(how for i in stored.ids if stored.has(i) and (how := stored.reason(i)))
    seconds = time.monotonic() - started
    return SetSummary(stored.info.spec, stored.key, statuses, failures, seconds, skipped, computed)


@dataclass(frozen=True)
class _Job:
    """One set to extract: what a worker process needs to know."""

    spec: SetSpec
    writer: SetWriter

    def run(self, task: Clips) -> dict[str, ClipFailure] | None:
        """Extract some clips and write their parts; whatever is wrong with a clip becomes a failure row.

        Missing files are returned and not written: on another machine they may be there. MachineFault and MemoryError
        as in `extract_clip`.
        """
        missing: dict[str, ClipFailure] = {}
        try:
            for clip_id, extracted in self._all_extracted(task):
                try:
                    if isinstance(extracted, ClipFailure):
                        raise extracted
                    self.writer.add(clip_id, extracted)
                except ClipFailure as failure:
                    if failure.status == "missing":
                        missing[clip_id] = failure
                    else:
                        self.writer.fail(clip_id, failure)
        except OSError as error:
            fault = refused(error, self.writer.store)
            raise fault if isinstance(fault, MachineFault) else MachineFault(str(fault)) from None
        return missing or None

    def _all_extracted(self, task: Clips) -> Iterator[tuple[str, Extracted]]:
        if len(task) > 1:
            yield from extract_together(task, self.spec, self.writer.params)
            return
        ((clip_id, media),) = task
        try:
            yield clip_id, self._extracted(media)
        except ClipFailure as failure:
            yield clip_id, failure

    def _extracted(self, media: Media) -> FeatureArray:
        if get_set(self.spec.name).extract_many is not None:
            check_same(self.spec, self.writer.params)
        return extract_clip(media, self.spec)
