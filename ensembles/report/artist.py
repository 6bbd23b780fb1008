"""Pictures are drawn by a process of its own, while what else stands on the page is still found out.

vl-convert needs half a second until its first picture and lets no other thread work meanwhile.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from ensembles.report import svg as drawing
from ensembles.report.blocks import Chart
from features.cores import cores


class Artist:
    """Draws pictures in another process, one after another; what that can't is drawn in this one.

    It is a context: the process lives in it from the start on. There is none on a machine of one core, nor where this
    process draws quickly itself, having drawn before.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._thread = ThreadPoolExecutor(1)
        self._drawn: dict[str, Future[str | None]] = {}

    def __enter__(self) -> "Artist":
        if _another_is_quicker():
            command = [sys.executable, "-P", drawing.__file__]  # without this folder among those of modules
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
            with suppress(OSError):
                self._process = subprocess.Popen(command, text=True, encoding="utf-8", **pipes)  # type: ignore[call-overload]
        return self

    def __exit__(self, *error: object) -> None:
        if self._process is not None:
            self._process.kill()  # it holds nothing that could be lost
        self._thread.shutdown(cancel_futures=True)
        if self._process is not None:
            self._process.communicate()

    def begin(self, chart: Chart) -> None:
        """Have a picture drawn that will be wanted later."""
        if self._process is not None:
            self._drawn[chart.key] = self._thread.submit(self._ask, chart.key, chart.spec)

    def svg(self, chart: Chart) -> str:
        """The picture as SVG. Errors: those of vl-convert, for a spec that is none."""
        begun = self._drawn.pop(chart.key, None)
        drawn = begun.result() if begun else None
        return drawing.svg_of(chart.key, chart.spec) if drawn is None else drawn

    def _ask(self, key: str, spec: Mapping[str, Any]) -> str | None:
        """The answer of the other process; None where it is dead."""
        assert self._process is not None and self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps([key, spec]) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except (OSError, ValueError):
            return None
        return str(json.loads(answer)) if answer.endswith("\n") else None


def _another_is_quicker() -> bool:
    return "vl_convert" not in sys.modules and cores() > 1 and bool(sys.executable)
