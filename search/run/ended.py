"""How the trials of a run ended, read from its files, ten thousands of them at once.

The files are the truth. What is needed of each is kept beside them in one file of lines; a line is believed as long as
it fits its own checksum, and its file has the size and the time of change that it had then. Whoever reads adds what is
missing, and the lines may be deleted at any time.
"""

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

from features.disk.sealed import open_line, sealed_line
from features.errors import DamagedFile
from features.files import write_bytes
from features.progress import say
from search.run.continuous_predictions import checked_footer
from search.run.layout import read_outcome
from search.run.predictions import DamagedPredictions, open_predictions, prediction_files, read_footer

_NAME = ".ended.3.jsonl"  # the number grows with any change of a line's fields
_EARLIER = (".ended.1.jsonl", ".ended.2.jsonl")
_FEW = 100  # so many outdated lines are never worth a new file


class Ended(NamedTuple):
    """One trial that ended. `value` is what its search maximises (of the log-loss, its negative), `at_s`
    when it ended (seconds since 1970), `repeat` which of the seeds of its configuration it is, `gpu_s` its seconds
    times its share of a GPU."""

    trial_key: str
    config_key: str
    entry: str
    partition: str
    status: Literal["finished", "pruned", "failed"]
    value: float | None
    epochs: int
    wall_s: float
    reason: str
    at_s: float = 0.0
    repeat: int = 0
    gpu_s: float = 0.0


class _Stamp(NamedTuple):
    size: int
    changed_ns: int


_Line = tuple[_Stamp, Ended]


def read_ended(run: Path) -> list[Ended]:
    """All trials that ended, by key; one that failed first and was finished later is a finished one.

    Damaged files are passed over (`read_ended_and_damaged` tells of them): their trials have not ended.
    """
    return read_ended_and_damaged(run)[0]


def read_ended_and_damaged(run: Path) -> tuple[list[Ended], list[DamagedFile]]:
    """All trials that ended, by key, and what is wrong with files that had to be opened."""
    with suppress(OSError):
        for name in _EARLIER:
            (run / name).unlink(missing_ok=True)
    stamps = dict(_files(run))
    lines = _read_lines(run)
    fresh = [name for name, stamp in stamps.items() if name not in lines or lines[name][0] != stamp]
    outdated = len(lines.keys() - stamps.keys()) + len(lines.keys() & set(fresh))
    read: dict[str, _Line] = {}
    bad: list[DamagedFile] = []
    for name in fresh:
        try:
            # A run may change while it is read.
            if (ended := _read(run, name, stamps[name])) is not None:
                read[name] = stamps[name], ended
        except DamagedFile as error:
            bad.append(error)
    lines = {name: line for name, line in {**lines, **read}.items() if name in stamps and line[0] == stamps[name]}
    if outdated > max(_FEW, len(lines)):
        _write_anew(run, lines)
    elif read:
        _append(run, read)
    found: dict[str, Ended] = {}
    for _, ended in lines.values():
        if ended.status == "finished" or ended.trial_key not in found:
            found[ended.trial_key] = ended
    return [found[key] for key in sorted(found)], bad


def set_damaged_aside(run: Path) -> None:
    """Hold every prediction file against its seal (or its checks) and take damaged ones out of the way, saying so.

    They stay beside the others under a name with a dot in front; their trials count as never trained.
    """

    def check(path: Path) -> DamagedPredictions | None:
        try:
            if not open_predictions(path).is_sealed:
                checked_footer(path)
        except DamagedPredictions as error:
            return error
        return None

    paths = prediction_files(run)
    with ThreadPoolExecutor(min(8, (os.cpu_count() or 1) + 1)) as pool:
        for path, error in zip(paths, pool.map(check, paths), strict=True):
            if error is not None:
                aside = path.with_name(f".{path.name}.damaged")
                path.replace(aside)
                say(f"{error.told}; it is now {aside.name}, and its trial is trained again.")


def note_ended(run: Path, ended: Ended) -> None:
    """Add a line for a trial whose file has just been written, so that nobody needs to open that file."""
    name = _prediction(ended.entry, ended.trial_key) if ended.status == "finished" else _outcome(ended.trial_key)
    try:
        status = (run / name).stat()
    except OSError:
        return
    stamp = _Stamp(status.st_size, status.st_mtime_ns)
    _append(run, {name: (stamp, ended._replace(at_s=stamp.changed_ns / 1e9))})


def _prediction(entry: str, trial_key: str) -> str:
    return f"predictions/family={entry}/{trial_key}.parquet"


def _outcome(trial_key: str) -> str:
    return f"trials/{trial_key}.json"


def _files(run: Path) -> Iterator[tuple[str, _Stamp]]:
    """The files that tell of an end, by their path inside the run's folder."""
    folders = [(folder, ".parquet") for folder in sorted((run / "predictions").glob("family=*"))]
    for folder, suffix in [*folders, (run / "trials", ".json")]:
        try:
            inside = folder.relative_to(run)
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.endswith(suffix) and not entry.name.startswith("."):
                        status = entry.stat()
                        yield f"{inside}/{entry.name}", _Stamp(status.st_size, status.st_mtime_ns)
        except FileNotFoundError:
            continue


def _read(run: Path, name: str, stamp: _Stamp) -> Ended | None:
    path, at_s = run / name, stamp.changed_ns / 1e9
    if name.endswith(".json"):
        if not path.exists():
            return None
        outcome = read_outcome(path)
        return Ended(
            outcome.trial_key,
            outcome.config_key,
            outcome.entry,
            outcome.partition,
            outcome.status,
            outcome.value,
            outcome.epochs,
            outcome.wall_s,
            outcome.reason,
            at_s,
            outcome.repeat,
            outcome.gpu_s,
        )
    footer = read_footer(path)
    return Ended(
        footer.trial_key,
        footer.config_key,
        footer.entry,
        footer.partition,
        "finished",
        footer.value,
        footer.epochs,
        footer.wall_s,
        "",
        at_s,
        footer.repeat,
        footer.gpu_s,
    )


def _read_lines(run: Path) -> dict[str, _Line]:
    try:
        whole = (run / _NAME).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    found: dict[str, _Line] = {}
    for text in whole.splitlines():
        # Two that write at the same time, or a full disk, may leave half a line.
        if (line := open_line(text)) is not None:
            try:
                found[line["file"]] = _Stamp(*line["stamp"]), Ended(*line["ended"])
            except (KeyError, TypeError):
                continue
    return found


def _lines(lines: Mapping[str, _Line]) -> bytes:
    # The line's end comes first, so that it also ends half a line of an earlier writer.
    return "".join(
        f"\n{sealed_line({'file': name, 'stamp': stamp, 'ended': ended})}" for name, (stamp, ended) in lines.items()
    ).encode()


def _append(run: Path, lines: Mapping[str, _Line]) -> None:
    try:
        with (run / _NAME).open("ab", buffering=0) as file:
            file.write(_lines(lines))  # in one piece, so that two writers don't mix
    except OSError:
        return  # a run folder that can't be written is read file by file


def _write_anew(run: Path, lines: Mapping[str, _Line]) -> None:
    try:
        write_bytes(run / _NAME, _lines(lines))
    except OSError:
        return
