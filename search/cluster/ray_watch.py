"""Whether the Ray that this process started still works; where it doesn't, nothing in the process may ever return.

A call into Ray whose control service was killed blocks for a minute and then ends the process; without its raylet the
trials wait for ever. So threads watch, and end the process with a code that tells its parent why.
"""

import os
import threading
import time
from contextlib import suppress
from pathlib import Path

# Exit codes; Ray's own processes by the name that the kernel knows.
EXIT_CODES = {"gcs_server": 81, "raylet": 82, "unresponsive": 83, "orphan": 84}
REASONS = {
    EXIT_CODES["gcs_server"]: "its control service (gcs_server) ended",
    EXIT_CODES["raylet"]: "its raylet ended",
    EXIT_CODES["unresponsive"]: "its control service did not answer, or told of no living node",
}
_EVERY_S = 0.2
# Asked this often, and unanswered for so long, it is as good as dead.
_ASK_EVERY_S, _PATIENCE_S = 2.0, 25.0


class RayWatch:
    """Ends this process when the one that started it is gone, and, for a Ray of its own, when that is.

    It looks from the start; `ready` tells that Ray works now and may be asked, `done` that what follows is its end.
    """

    def __init__(self, own: bool):
        self._own = own
        self._parent = os.getppid()
        self._done = threading.Event()
        self._seen: set[tuple[int, str]] = set()
        self._answered: float | None = None
        threading.Thread(target=self._look, name="ray-watch", daemon=True).start()

    def ready(self) -> None:
        """Ask Ray now and then from here on."""
        self._answered = time.monotonic()
        if self._own:
            threading.Thread(target=self._ask, name="ray-ask", daemon=True).start()

    def done(self) -> None:
        """Ray's processes end because they shall."""
        self._done.set()

    def _look(self) -> None:
        while True:
            time.sleep(_EVERY_S)
            if os.getppid() != self._parent:
                os._exit(EXIT_CODES["orphan"])
            if not self._own or self._done.is_set():
                continue
            alive, dead = ray_children()
            for _, name in dead | (self._seen - alive):
                if not self._done.is_set():
                    os._exit(EXIT_CODES[name])
            self._seen = alive
            if self._answered is not None and time.monotonic() - self._answered > _PATIENCE_S:
                os._exit(EXIT_CODES["unresponsive"])

    def _ask(self) -> None:
        import ray

        while not self._done.wait(_ASK_EVERY_S):
            with suppress(Exception):  # what is no answer counts as none
                if any(node["Alive"] for node in ray.nodes()):
                    self._answered = time.monotonic()


def ray_children() -> tuple[set[tuple[int, str]], set[tuple[int, str]]]:
    """(pid, name) of the control service and raylet that this process started: those that live, those that ended."""
    alive: set[tuple[int, str]] = set()
    dead: set[tuple[int, str]] = set()
    for tasks in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            for pid in map(int, tasks.read_text().split()):
                name, state = _name_and_state(pid)
                if name in EXIT_CODES:
                    (dead if state == "Z" else alive).add((pid, name))
    return alive, dead


def _name_and_state(pid: int) -> tuple[str, str]:
    try:
        name, _, rest = Path(f"/proc/{pid}/stat").read_text().partition("(")[2].rpartition(")")
    except OSError:
        return "", "Z"
    return name, rest.split()[0]
