"""What one GPU does for emofuse: every network at published sizes, the decision search, extraction, the CUDA tests.

    python benchmarks/gpu.py --out gpu [--sections tests,families] [--families vgg16,face_cnn] [--budget-s 800] [--tiny]

The most important sections come first, each in a process of its own, so that one that fails or hangs costs only itself;
what is found is written at once, a line of JSON each, to gpu.jsonl in the folder $OUT or --out, with gpu.log beside it.
A table comes last, and all of it as gpu.json. Without a card everything runs on the CPU in tiny sizes: a rehearsal,
whose numbers mean nothing. docs/gpu.md says what each column is.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import traceback
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# In the order of their importance, short ones before long ones: the most seconds of each, and what it answers.
SECTIONS = {
    "card": (60, "what was measured on"),
    "tests": (150, "the tests marked gpu"),
    "fusion": (90, "the decision search on the card"),
    "extract": (90, "activations of backbones"),
    "families": (480, "speed, memory, mixed precision, and what bounds each network"),
    "share": (120, "trials that share the card"),
    "host": (120, "main memory of a training"),
    "cpu": (150, "the same training on the CPU"),
}
_LOST = 17  # exit status of a section whose card no longer answers; it is started again behind the item that broke it
_TESTS = (
    "tests/models/blocks/test_blocks_on_gpu.py",
    "tests/models/training/test_training.py",
    "tests/models/training/test_rows.py",
    "tests/search/trial/test_hygiene.py",
    "tests/ensembles/fusion/test_torch_screen.py",
    "tests/models/families/test_on_gpu.py",
)

Row = dict[str, Any]


class Book:
    """The rows found so far, in a file that is read by whoever comes after a crash."""

    def __init__(self, folder: Path):
        self.path, self.log = folder / "gpu.jsonl", folder / "gpu.log"

    def write(self, section: str, item: str, row: Row) -> None:
        """Put down a row; it is on disk when this returns."""
        with self.path.open("a") as file:
            file.write(json.dumps({"section": section, "item": item, **row}, default=str) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def rows(self, section: str | None = None) -> list[Row]:
        """All rows, or those of a section; a line cut off by a kill is left out."""
        found = []
        for line in self.path.read_text().splitlines() if self.path.exists() else []:
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return [row for row in found if section in (None, row["section"])]


def main() -> None:
    """Run the sections one after the other; print the table."""
    given = _given()
    folder = Path(given.out)
    folder.mkdir(parents=True, exist_ok=True)
    book = Book(folder)
    if given.child:
        sys.path[:0] = [str(ROOT)]
        _child(given, book)
        return
    book.path.unlink(missing_ok=True)
    started = time.monotonic()
    for section in given.sections.split(","):
        left = given.budget_s - (time.monotonic() - started)
        if left < 10:
            book.write(section, "all", {"failed": "no time was left for it"})
            continue
        _section(section, given, book, min(left, SECTIONS[section][0]))
    rows = book.rows()
    (folder / "gpu.json").write_text(json.dumps(rows, indent=1))
    print(table(rows))
    print(f"{time.monotonic() - started:.0f} s; {folder / 'gpu.json'}")


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", default=os.environ.get("OUT", "gpu"))
    parser.add_argument("--sections", default=",".join(SECTIONS))
    parser.add_argument("--families", default="")
    parser.add_argument("--budget-s", type=float, default=800.0)
    parser.add_argument("--tiny", action="store_true", help="sizes that a CPU can rehearse; so it is without a card")
    parser.add_argument("--child", choices=tuple(SECTIONS), help=argparse.SUPPRESS)
    given = parser.parse_args()
    unknown = set(given.sections.split(",")) - set(SECTIONS)
    if unknown:
        parser.error(f"unknown sections: {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    return given


def _section(section: str, given: argparse.Namespace, book: Book, seconds: float) -> None:
    command = [sys.executable, __file__, "--child", section, "--out", given.out, "--families", given.families]
    environment = {
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
    }
    ends, began = time.monotonic() + seconds, time.monotonic()
    said = "ended"
    while True:
        with book.log.open("a") as log:
            log.write(f"== {section}\n")
            log.flush()
            process = subprocess.Popen(
                command + ["--tiny"] * given.tiny, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        try:
            status = process.wait(max(1.0, ends - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
            said = f"stopped after {seconds:.0f} s"
            book.write(section, "all", {"failed": said})
            break
        if status != _LOST:
            if status:
                said = f"exit status {status}, see gpu.log"
                book.write(section, "all", {"failed": said})
            break
    print(f"{section}: {said}, {time.monotonic() - began:.0f} s", flush=True)


def _child(given: argparse.Namespace, book: Book) -> None:
    import torch
    from gpu_measures import Given

    there = torch.cuda.is_available()
    if not there:
        torch.set_num_threads(1)
    told = Given("cuda" if there else "cpu", given.tiny or not there, tuple(filter(None, given.families.split(","))))
    done = {row["item"] for row in book.rows(given.child)}
    for item, row in _rows(given.child, told, done, book):
        book.write(given.child, item, row)
        print(item, json.dumps(row, default=str), flush=True)


def _rows(section: str, told: Any, done: set[str], book: Book) -> Iterator[tuple[str, Row]]:
    import gpu_measures as measures
    import gpu_processes

    if section == "card":
        yield "card", {**measures.card(), "tiny": told.tiny}
    elif section == "tests":
        yield from _test_rows(told, book)
    elif section == "share":
        yield from gpu_processes.share_rows(told)
    elif section == "host":
        yield from gpu_processes.host_rows(told)
    else:
        work, items = {
            "families": (measures.family_row, told.wanted(measures.ORDER)),
            "fusion": (measures.fusion_row, ["5x383x7", "20x2000x8"]),
            "extract": (
                measures.extract_row,
                told.wanted(["face_cnn", "vgg16", "alexnet_face", "convnet100", "inception_v2"]),
            ),
            "cpu": (measures.cpu_row, told.wanted(measures.ORDER)),
        }[section]
        for item in items:
            if item in done:
                continue
            # Written before it is tried: one that takes the whole process with it isn't tried again.
            try:
                row = work(item, told)
            except SystemExit:
                book.write(section, item, {"failed": "the card's context was lost, see gpu.log"})
                raise
            except Exception as error:
                traceback.print_exc()
                row = {"failed": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
            yield item, row
            measures.check_card()


def _test_rows(told: Any, book: Book) -> Iterator[tuple[str, Row]]:
    report = book.path.parent / "tests.xml"
    environment = dict(os.environ)
    tests = list(_TESTS)
    if told.device == "cpu":
        environment["EMOFUSE_GPU"], tests = "cpu", tests[:1]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-m",
        "gpu",
        "-p",
        "no:cacheprovider",
        "--tb=short",
        f"--junitxml={report}",
        *(["-n", "4"] if told.device == "cuda" else []),
        *tests,
    ]
    status = subprocess.run(command, cwd=ROOT, env=environment).returncode
    cases = list(ElementTree.parse(report).iter("testcase")) if report.exists() else []
    report.unlink(missing_ok=True)
    bad = {}
    for case in cases:
        for kind in ("failure", "error"):
            if (found := case.find(kind)) is not None:
                bad[f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}"] = " ".join(
                    (found.get("message") or "").split()
                )[:300]
    skipped = sum(case.find("skipped") is not None for case in cases)
    yield (
        "pytest",
        {
            "passed": len(cases) - len(bad) - skipped,
            "skipped": skipped,
            "exit": status,
            "bad": bad,
            **({"failed": f"{len(bad)} tests"} if bad or status else {}),
        },
    )


# The columns of each section's table.
_COLUMNS = {
    "families": (
        "float32_per_s",
        "auto_per_s",
        "plain_per_s",
        "score_per_s",
        "busy",
        "kernels_per_batch",
        "bound_by",
        "auto_mb",
        "float32_mb",
        "asks_gpu",
        "off",
        "within_noise",
    ),
    "fusion": ("compiled_draws_per_s", "cuda_draws_per_s", "same_weights", "same_draws"),
    "share": ("1_per_s", "2_per_s", "4_per_s"),
    "extract": (
        "layer",
        "at_once",
        "cpu_per_s",
        "gpu_per_s",
        "gpu_per_s_as_many_as_on_a_cpu",
        "gpu_per_s_4_times_as_many",
        "off",
    ),
    "cpu": ("cpu_per_s", "warm"),
    "host": ("imported_mb", "card_opened_mb", "peak_mb", "data_mb", "asks_mb"),
    "tests": ("passed", "skipped", "exit"),
    "card": ("card", "torch", "cudnn", "cores", "tiny"),
}


def table(rows: list[Row]) -> str:
    """The rows as text, a block for each section, with what failed below."""
    lines = []
    for section, columns in _COLUMNS.items():
        own = [row for row in rows if row["section"] == section]
        if not own:
            continue
        lines.append(f"\n{section}: {SECTIONS[section][1]}")
        cells = [["", *columns], *([row["item"], *(_cell(row.get(c)) for c in columns)] for row in own)]
        widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
        lines += [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
        ]
        for row in own:
            lines += [f"  ! {row['item']} {key}: {value}" for key, value in row.items() if key.endswith("failed")]
            lines += [f"  ! {name}: {message}" for name, message in row.get("bad", {}).items()]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value)


if __name__ == "__main__":
    main()
