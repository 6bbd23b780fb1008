"""The errors that a user can act on: printed as one sentence, never as a traceback."""

from features.masking import masked

_LONGEST = 2000


class EmofuseError(Exception):
    """Work failed; the message says what was expected, what came and what to do. Exit code 1.

    Credentials in URIs are masked.
    """

    exit_code = 1

    def __str__(self) -> str:
        """The sentence; what a stranger's file puts into it (a name of a million letters) is cut in the middle."""
        text = super().__str__()
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 500]} ... {text[-490:]}"

    def __init__(self, *arguments: object):
        super().__init__(*(masked(value) if isinstance(value, str) else value for value in arguments))


class WrongUse(EmofuseError):
    """The request itself can't be carried out as written (unknown name, bad option). Exit code 2."""

    exit_code = 2


class DamagedFile(EmofuseError):
    """A file of ours is empty, cut off, or holds other bytes than were written; the message names it and what to do.

    Where its content can be made again, who reads it takes it for absent and says so.
    """


class MachineFault(EmofuseError):
    """The work can't be done here and now (a library is missing, a disk is full, an input was damaged since).

    Nothing is wrong with the clip or the configuration that met it, and nothing is recorded for it: the same work goes
    on elsewhere, or here after a repair.
    """


class AbsentModel(EmofuseError):
    """There is no model where a feature set says; what was extracted with it can still be read."""


class Interrupted(EmofuseError):
    """Ctrl-C ended the work, as the shell counts it."""

    exit_code = 130


class Diverged(EmofuseError):
    """Training reached numbers that are not finite."""


class ClipFailure(EmofuseError):
    """One clip can't be turned into features; it becomes a row with this status and reason.

    `status` is one of `FAILURES`.
    """

    FAILURES = ("unreadable", "no_audio", "no_video", "no_face", "too_short", "missing")

    def __init__(self, status: str, reason: str):
        if status not in self.FAILURES:
            raise ValueError(f"A clip failure's status is one of {self.FAILURES}, but got {status!r}.")
        super().__init__(f"{status}: {reason}")
        self.status = status
        self.reason = masked(reason)

    def __reduce__(self) -> tuple[type["ClipFailure"], tuple[str, str]]:
        return type(self), (self.status, self.reason)
