"""What kind of failure ended a trial, and the sentence that tells it."""

import errno
from typing import Literal, get_args

from features.errors import Diverged, EmofuseError

Kind = Literal["diverged", "out_of_memory", "hung", "lost", "error"]
KINDS: tuple[Kind, ...] = get_args(Kind)

# How libraries that know no MemoryError tell of it: torch's CPU allocator, CUDA, cuBLAS, cuDNN.
_OUT_OF_MEMORY = ("can't allocate memory", "CUDA out of memory", "CUDA error: out of memory", "STATUS_ALLOC_FAILED")


def kind_of(error: BaseException) -> Kind:
    """The kind of failure that this exception is."""
    if isinstance(error, Diverged):
        return "diverged"
    return "out_of_memory" if is_out_of_memory(error) else "error"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether main memory or a GPU's ran out; torch's own error is known by its name, so that torch isn't imported."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _OUT_OF_MEMORY)


def reason_of(error: BaseException, batch_size: int | None = None) -> str:
    """One sentence about an exception; `batch_size` is what the trial was trained with when memory ran out."""
    if isinstance(error, EmofuseError):
        return str(error)
    text = " ".join(str(error).split())[:500]
    if is_out_of_memory(error):
        return out_of_memory_reason(text or "the trial needs more than there is", batch_size)
    return f"{type(error).__name__}: {text}"


def out_of_memory_reason(text: str, batch_size: int | None) -> str:
    """The sentence for a trial whose last try ran out of memory."""
    batch = "" if batch_size is None else f", also with batches of {batch_size}"
    return f"Out of memory{batch}: {text}; give it more memory or smaller batches."
