"""How `emofuse predict` tells what it finds: on stdout, or in a file that grows row by row."""

import csv
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import typer

from ensembles.applying.asked import Asked, told_apart
from ensembles.applying.files import RowFile, RowForm
from ensembles.applying.rows import Columns, Result, Row
from ensembles.bundle.results import ClipPrediction, TracePrediction
from ensembles.predictions.organisers import ClassPredictions, Form, TracePredictions, write_form
from features.errors import EmofuseError, Interrupted
from features.progress import progress, say
from features.tables.spreadsheets import quoted_text
from features.terminal import Table, console

_WIDE = 200  # columns of a table that goes to a file or a pipe
_TOLD = 5  # clips that failed, by name
Found = tuple[Asked, Result]


@dataclass
class Told:
    """The results of the clips `asked`, told as JSON, in the file `out` of a `form`, or as a table."""

    columns: Columns
    asked: Sequence[Asked]
    as_json: bool
    details: bool
    form: Form | None
    out: Path | None
    html: Path | None
    bundle: Path
    found: list[Found] = field(default_factory=list)

    def tell(self, predict: Callable[[list[Asked]], Iterator[Found]]) -> None:
        """Predict the clips that are left, each told as it is ready; exit code 1 where one has no result."""
        if self.form in get_args(RowForm) and self.out is not None:
            file = RowFile(self.out, cast(RowForm, self.form), self.columns)
            self._into_rows(predict, file)
            self._page(file.rows)
        else:
            self._at_the_end(predict)
            self._page([row for clip, result in self._ordered() for row in self.columns.rows(clip, result)])
        self._say_unlike()
        if any(result.reason for _, result in self.found):
            raise typer.Exit(1)

    def _page(self, rows: Sequence[Row]) -> None:
        if self.html is not None:
            from ensembles.report.predicted import write_predicted

            write_predicted(rows, self.asked, self.columns, self.bundle, self.html)
            say(f"Written: {self.html}")

    @property
    def _what(self) -> str:
        return "recordings" if self.columns.dimensions else "clips"

    def _work(self, clips: list[Asked], predict: Callable[[list[Asked]], Iterator[Found]]) -> Iterator[Found]:
        if not clips:
            return
        with progress(self._what, len(clips), estimate=True) as counter:
            for clip, result in predict(clips):
                self.found.append((clip, result))
                yield clip, result
                counter.advance(note=Path(clip.name).name)

    def _into_rows(self, predict: Callable[[list[Asked]], Iterator[Found]], file: RowFile) -> None:
        done, keys = set(file.done), [clip.key for clip in self.asked]
        left = [clip for clip in self.asked if not _is_done(clip, done, self.columns)]
        if len(left) < len(self.asked):
            say(f"{file.out}: {len(self.asked) - len(left)} of {len(self.asked)} {self._what} are there already")
        file.begin(set(keys))
        try:
            for clip, result in self._work(left, predict):
                file.add(self.columns.rows(clip, result))
        except KeyboardInterrupt:
            raise Interrupted(
                f"interrupted after {len(self.asked) - len(left) + len(self.found)} of {len(self.asked)} {self._what}, "
                f"which lie in {file.place}; the same command goes on."
            ) from None
        finally:
            file.close()
        file.finish(keys)
        self._say_failed()
        scored = len(self.asked) - sum(bool(result.reason) for _, result in self.found)
        say(f"{scored} of {len(self.asked)} {self._what} scored: {file.out}")

    def _at_the_end(self, predict: Callable[[list[Asked]], Iterator[Found]]) -> None:
        try:
            waiting: dict[tuple[str, float, float | None], Result] = {}
            order = [clip.key for clip in self.asked][::-1]
            for clip, result in self._work(list(self.asked), predict):
                waiting[clip.key] = result
                while self.as_json and order and order[-1] in waiting:
                    print(
                        json.dumps(_as_data(waiting.pop(order.pop()), self.details, self.columns.abstain)), flush=True
                    )
        except KeyboardInterrupt:
            again = "the same command begins again, with -o FILE.csv it goes on."
            told = f"interrupted after {len(self.found)} of {len(self.asked)} {self._what}; {again}"
            raise Interrupted(told) from None
        finally:
            if self.found and not self.as_json and self.out is None:
                self._print()
        if self.out is not None and self.form is not None:
            self._say_failed()
            _write(self._ordered(), self.form, self.out)

    def _ordered(self) -> list[Found]:
        places = {clip.key: n for n, clip in enumerate(self.asked)}
        return sorted(self.found, key=lambda one: places[one[0].key])

    def _say_failed(self) -> None:
        """Say which clips could not be scored, or not by all members."""
        remarks = [(c.name, r.reason or _remark(r)) for c, r in self._ordered() if r.reason or r.left_out or r.unlike]
        for name, remark in remarks[:_TOLD]:
            say(f"{name}: {remark}")
        if len(remarks) > _TOLD:
            say(f"... and {len(remarks) - _TOLD} more with such a remark")

    def _say_unlike(self) -> None:
        unlike = sum(bool(result.unlike) for _, result in self.found)
        if unlike:
            many = f"{unlike} of {len(self.found)} {self._what} {'are' if unlike > 1 else 'is'}"
            what = "they have no label" if self.columns.abstain else "mistrust what it says (--abstain leaves it out)"
            if self.columns.dimensions:
                what = "mistrust what it says"
            say(f"{many} unlike the {self._what} that this bundle learned from: {what}.")

    def _print(self) -> None:
        found = self._ordered()
        if self.columns.dimensions:
            _print_traces([result for _, result in found if isinstance(result, TracePrediction)], self.columns)
            self._say_failed()
        else:
            self._print_table([(clip, r) for clip, r in found if isinstance(r, ClipPrediction)])

    def _print_table(self, found: list[tuple[Asked, ClipPrediction]]) -> None:
        parts = any(clip.media.start_s or clip.media.end_s is not None for clip, _ in found)
        names = told_apart(self.asked)
        table = Table(box=None, header_style="dim", pad_edge=False)
        for heading in ("clip", *(["seconds"] if parts else []), "label", "probability", "runners-up", "remark"):
            right = heading in ("probability", "seconds")
            table.add_column(heading, justify="right" if right else "left", overflow="fold")
        for clip, result in found:
            end_s = clip.media.end_s
            when = [f"{clip.media.start_s:g} to {'the end' if end_s is None else f'{end_s:g}'}"] if parts else []
            if result.reason:
                table.add_row(names[clip.name], *when, "-", "", "", result.reason)
                continue
            label, probability, others = _best(result.probabilities)
            if result.unlike and self.columns.abstain:
                others, label = f"{label} {probability}, {others}", "-"
                probability = ""
            table.add_row(names[clip.name], *when, label, probability, others, _remark(result))
            for member, probabilities in result.members.items() if self.details else ():
                table.add_row(f"  {member}", *([""] * len(when)), *_best(probabilities), "")
        console(wide=_WIDE).print(table)


def _is_done(clip: Asked, done: set[tuple[str, float, float | None]], columns: Columns) -> bool:
    return (clip.name, 0.0, None) in done if columns.dimensions else clip.key in done


def _best(probabilities: dict[str, float]) -> tuple[str, str, str]:
    first, *others = sorted(probabilities.items(), key=lambda item: -item[1])
    return first[0], f"{first[1]:.2f}", ", ".join(f"{label} {p:.2f}" for label, p in others[:2])


def _as_data(result: Result, details: bool, abstain: bool) -> dict[str, Any]:
    data = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in asdict(result).items()}
    if not details:
        data.pop("members", None)
    return data | ({"label": None} if abstain and result.unlike else {})


def _print_traces(traces: Sequence[TracePrediction], columns: Columns) -> None:
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(["recording", "time_s", *map(quoted_text, columns.dimensions)])
    for trace in traces:
        name = quoted_text(trace.path)
        for time_s, values in zip(trace.time_s.tolist(), trace.values.tolist(), strict=True):
            rows.writerow([name, f"{time_s:.6g}", *(f"{value:.6f}" for value in values)])


def _write(found: Sequence[Found], form: Form, out: Path) -> None:
    """Write the files of a challenge's organisers, whole."""
    scored = [(clip, result) for clip, result in found if result.reason is None]
    if not scored:
        raise EmofuseError(f"{out}: nothing was written, since no file could be scored.")
    stems = [str(Path(clip.name).with_suffix("")) for clip, _ in scored]
    # A recording's name is the organisers' id; two files of one name keep their endings.
    names = [stem if stems.count(stem) == 1 else clip.name for stem, (clip, _) in zip(stems, scored, strict=True)]
    traces = [result for _, result in scored if isinstance(result, TracePrediction)]
    if traces:
        by_name = {name: (own.time_s, own.values) for name, own in zip(names, traces, strict=True)}
        write_form(TracePredictions(traces[0].dimensions, by_name), form, out)
    else:
        classes = [result.probabilities for _, result in scored if isinstance(result, ClipPrediction)]
        columns = tuple(classes[0])
        values = np.array([[own[name] for name in columns] for own in classes])
        write_form(ClassPredictions(tuple(names), columns, values, np.ones(len(names), bool)), form, out)
    say(f"{len(scored)} of {len(found)} files scored: {out}")


def _remark(result: Result) -> str:
    told = []
    if result.unlike:
        sets = ", ".join(f"{spec.partition(':')[0]} {times:.1f} x" for spec, times in result.unlike.items())
        told.append(f"unlike the clips it learned from ({sets})")
    if result.left_out:
        reasons = sorted({reason.split(":")[0] for reason in result.left_out.values()})
        told.append(f"without {len(result.left_out)} members ({', '.join(reasons)})")
    return "; ".join(told)
