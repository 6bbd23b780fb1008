"""A search's status as text."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence

from features.progress import duration
from models.metrics import DEFAULT_METRICS, in_words, search_value, told
from search.budget.pace import SILENT_S
from search.budget.told import spent_table
from search.run.remote import shown
from search.trial.heartbeats import Heartbeat
from search.watch.fused import FusedCurve
from search.watch.gpus import GpuUse
from search.watch.status import Status

_SHOWN = 20  # trials that run now
_SHOWN_DAMAGED = 3
_HEAD = ("stage", "entry", "family", "trials", "finished", "running", "pruned", "failed", "left", "best held out")


def table(status: Status) -> str:
    """The entries as lines of aligned text; where a search maximises another metric than usual, each one's is named."""
    named = any(entry.metric not in DEFAULT_METRICS for entry in status.entries)
    rows: list[tuple[str, ...]] = [(*_HEAD, *(("of",) * named))]
    for e in status.entries:
        best = _number(e.best)
        numbers = (e.trials, e.finished, e.running, e.pruned, e.failed, e.left)
        rows.append((e.stage, e.entry, e.family, *map(str, numbers), best, *((in_words(e.metric),) * named)))
    return "\n".join(_aligned(rows, 3))


def full_text(status: Status, curve: FusedCurve | None = None) -> str:
    """The table, what runs now, the GPUs, the fused score over time, and how long it will take."""
    blocks = [table(status)]
    if status.now:
        blocks.append("\n".join(_now(status.now)))
    if status.gpus:
        blocks.append("\n".join(map(_gpu, status.gpus)))
    if status.failures:
        counts = Counter(outcome.kind or "error" for outcome in status.failures)
        told = ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
        blocks.append(f"Failed: {told}; reasons and tracebacks lie in trials/, emofuse search retry queues them again.")
    if status.damaged:
        more = len(status.damaged) - _SHOWN_DAMAGED
        blocks.append("\n".join([*status.damaged[:_SHOWN_DAMAGED], *([f"... and {more} more"] if more > 0 else [])]))
    if curve is not None:
        blocks.append(fused_text(curve))
    blocks += [text for text in (_flow(status), _spent(status), _earlier(status), _asha(status)) if text]
    blocks.append("\n".join(_ending(status)))
    return "\n\n".join(blocks)


def fused_text(curve: FusedCurve) -> str:
    """The fused score in ten steps beside the best single configuration, and since when nothing has brought more."""
    points, count = curve.points, len(curve.points)
    steps = sorted({round(count * tenth / 10) for tenth in range(1, 11)} - {0})
    alone = [max(point.own for point in points[:step]) for step in steps]
    fused = [points[step - 1].fused for step in steps]
    rows = [
        ("configurations", *map(str, steps)),
        ("best alone", *(_number(curve.told(value)) for value in alone)),
        ("fused, nested", *(_number(curve.told(value)) for value in fused)),
    ]
    best = count - curve.without_gain
    highest = f"Highest fused {in_words(curve.metric)}: {curve.told(points[best - 1].fused):.3f}, after {best}"
    since = f"; the {curve.without_gain} since brought no more" if curve.without_gain else ""
    return "\n".join([*_aligned(rows, 1), f"{highest} configuration{'s' if best != 1 else ''}{since}."])


def _flow(status: Status) -> str:
    """What no entry got: because it flows to where the ensemble gains most, or because that gains no more."""
    if status.enough:
        return "stop_when: the last configurations brought the ensemble no more, so no others are started."
    if not status.open:
        return ""
    return f"{status.open} trials go to the entries for which the ensemble gains most, as they come (goal: ensemble)."


def spent_text(status: Status) -> str:
    """What was spent where, and what is left of the budgets."""
    stages = {entry.entry: entry.stage for entry in status.entries}
    return "\n".join(filter(None, (spent_table(status.books.spent, stages), status.books.left())))


def _spent(status: Status) -> str:
    return spent_text(status) if status.books.spent.entries else status.books.left()


def _earlier(status: Status) -> str:
    told = ", ".join(f"{entry.earlier} of {entry.entry}" for entry in status.entries if entry.earlier)
    return told and (
        f"Not counted: {told}, trials that the recipe asked for earlier (another space, number, partition); they stay "
        "in the run and on its leaderboard."
    )


def _asha(status: Status) -> str:
    """Which entries' trials may be stopped early, and by whose wish."""
    stopped = [entry for entry in status.entries if entry.rungs]
    if not stopped:
        return ""
    names = ", ".join(f"{entry.entry} (after epoch {_listed(entry.rungs)})" for entry in stopped)
    why = (
        "by default; `asha: null` in the recipe trains all to the end"
        if status.asha_by_default
        else "as the recipe asks"
    )
    return f"ASHA stops weak configurations early, {why}: {names}."


def _listed(numbers: Sequence[int]) -> str:
    *most, last = map(str, numbers)
    return f"{', '.join(most)} or {last}" if most else last


def _aligned(rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """Columns of equal width, the first `left` of them flush left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = zip(row, widths, strict=True)
        lines.append("  ".join(f"{v:<{w}}" if i < left else f"{v:>{w}}" for i, (v, w) in enumerate(cells)).rstrip())
    return lines


def _now(beats: Sequence[Heartbeat]) -> Iterable[str]:
    rows = [("running now", "", "epoch", "loss", "held out", "since", "memory", "where")]
    for beat in beats[:_SHOWN]:
        last = beat.curve[-1] if beat.curve else {}
        of = f" of {beat.max_epochs}" if beat.max_epochs else ""
        memory = f"{beat.usage.memory_mb / 1000:.1f} GB"
        if beat.usage.gpu:
            memory += f", {beat.usage.gpu_own_mb / 1000:.1f} GB of GPU"
        rows.append(
            (
                f"{beat.entry} {beat.trial_key[:8]}",
                beat.partition,
                f"{beat.epoch}{of}",
                _number(last.get("loss")),
                _number(_told(beat.metric, search_value(last, beat.metric))),
                duration(time.time() - beat.started_s),
                memory,
                f"{beat.host}:{beat.pid}",
            )
        )
    yield from _aligned(rows, 2)
    if len(beats) > _SHOWN:
        yield f"... and {len(beats) - _SHOWN} more"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _told(metric: str, value: float | None) -> float | None:
    return None if value is None else told(metric, value)


def _gpu(use: GpuUse) -> str:
    busy = "" if use.busy is None else f", busy {use.busy:.0%} of the time"
    trials = f"{use.trials} trial{'s' if use.trials != 1 else ''}"
    return f"{use.host} GPU {use.gpu}: {trials}, {use.used_mb / 1000:.1f} of {use.total_mb / 1000:.1f} GB{busy}"


def budget_text(status: Status, checkpoints: int) -> str:
    """What a budget left undone."""
    kept = f", {checkpoints} of them with a checkpoint" if checkpoints else ""
    trials = f"{status.left} trial{'s' if status.left != 1 else ''}"
    return (
        f"No budget is left for {trials}{kept}; the same command with a larger one goes on. "
        f"{' '.join(status.books.left().splitlines())}"
    )


def stopped_text(status: Status, checkpoints: int) -> str:
    """How far a search had come when it was stopped."""
    kept = f"; {checkpoints} that ran keep a checkpoint" if checkpoints else ""
    return f"Stopped: {status.total - status.left} of {status.total} trials have ended{kept}."


def _ending(status: Status) -> Iterable[str]:
    if not status.running:
        if status.left:
            larger = ", with a larger budget where it is spent" if status.books.left() else ""
            left = "1 trial is" if status.left == 1 else f"{status.left} trials are"
            yield f"No search works on this run now; {left} left: run the same command again{larger}."
        else:
            yield f"Nothing is left. {status.following(shown(status.run))}"
        return
    left = "1 trial is" if status.left == 1 else f"{status.left} trials are"
    yield f"A search works on this run now; {left} not finished yet."
    silent_s = 0.0 if status.search is None or status.search.heard_s is None else time.time() - status.search.heard_s
    if silent_s > SILENT_S:
        since = time.strftime("%H:%M:%S", time.localtime(time.time() - silent_s))
        yield (
            f"No progress since {since} ({duration(silent_s)} ago): Ray is silent. The driver starts it again, or ends "
            "with the reason; if neither happens within some minutes, stop it and run the same command."
        )
    elif status.pace is not None:
        yield f"{status.pace}."
    if status.search is not None:
        cluster = f"; Ray's dashboard: {status.search.dashboard}" if status.search.dashboard else ""
        yield f"The driver is process {status.search.pid} on {status.search.host}{cluster}."
