"""For how long searches worked on a run, kept in a small file that is written every few seconds: a kill costs no more.

The file may be deleted; then nothing was worked so far.
"""

import time
from contextlib import suppress
from pathlib import Path

from features.disk.sealed import open_line, sealed_line
from features.files import write_bytes

NAME = "worked.json"


def read_worked(run: Path) -> float:
    """Seconds for which searches worked on the run so far, the present one included."""
    return sum(_sessions(run).values())


class Worked:
    """The present search's time, added to that of earlier ones."""

    def __init__(self, run: Path):
        self._file, self._run = run / NAME, run
        self._began, self._started = time.monotonic(), f"{time.time():.3f}"
        self._earlier = _sessions(run)
        self._before_s = sum(self._earlier.values())

    @property
    def seconds(self) -> float:
        """Seconds so far, of earlier searches and this one."""
        return self._before_s + time.monotonic() - self._began

    def write(self) -> None:
        """Write down how much it is now."""
        sessions = {**self._earlier, self._started: round(time.monotonic() - self._began, 3)}
        with suppress(OSError):  # a full disk is told by who needs the space
            write_bytes(self._file, sealed_line({"sessions": sessions}).encode(), sync=False)


def _sessions(run: Path) -> dict[str, float]:
    """Seconds of each search by when it was started."""
    try:
        found = (open_line((run / NAME).read_text(encoding="utf-8", errors="replace")) or {}).get("sessions", {})
        return {str(started): float(seconds) for started, seconds in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
