"""What strangers do to files: seeded changes of bytes, lines and JSON, and a guard on how a reader takes it."""

import copy
import json
import random
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from features.errors import EmofuseError

TOKENS = [
    b"nan", b"1e999", b"-1", b"", b"9" * 5000, b"\0", b"\xff\xfe", b'"', b"'", b"[" * 300, b"{", b"&a ", b"*a",
    b"!!int x", b",,,,", b";;", b"\n\n", b"\r", b"\t", b"../../etc/passwd", b"=1+2", "\u202e\U0001f600".encode(),
    b"<<: *a", b"2020-13-45", b"true", b"null", b"0x", b"s3://", b"x" * 100_000,
]  # fmt: skip
VALUES: list[Any] = [
    None, True, -1, 0, 10**30, 1.5, 1e308, float("nan"), float("inf"), "", "x", "../x", "x" * 10_000, [], {}, [[]],
    [None], {"a": {"b": []}}, "2020-13-45", ["a", 1], [1e400], "s3://",
]  # fmt: skip
_LIMIT_S, _LIMIT_KB = 30, 1_000_000


def changed(data: bytes, rng: random.Random) -> bytes:
    """`data` with one to three changes: bytes, cuts, hostile words, lines twice or elsewhere."""
    for _ in range(rng.randint(1, 3)):
        data = _changed_once(data, rng)
    return data


def _changed_once(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    end = min(len(data), at + rng.choice([0, 1, 4, 40]))
    lines = data.split(b"\n")
    n = rng.randrange(len(lines))
    return rng.choice([
        lambda: data[:at] + rng.choice(TOKENS) + data[end:],
        lambda: data[:at],
        lambda: data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :],
        lambda: data[:at] + data[end:],
        lambda: b"\n".join([*lines[:n], lines[n], *lines[n:]]),
        lambda: b"\n".join([*lines[:n], *lines[n + 1 :]]),
        lambda: b"\n".join([*lines[:n], rng.choice(TOKENS), *lines[n:]]),
        lambda: _cell(lines, rng),
    ])()  # fmt: skip


def _cell(lines: list[bytes], rng: random.Random) -> bytes:
    """A hostile word in the place of one cell."""
    n = rng.randrange(len(lines))
    for separator in (b",", b";", b": "):
        cells = lines[n].split(separator)
        if len(cells) > 1:
            cells[rng.randrange(len(cells))] = rng.choice(TOKENS)
            return b"\n".join([*lines[:n], separator.join(cells), *lines[n + 1 :]])
    return b"\n".join(lines)


def changed_json(value: Any, rng: random.Random) -> bytes:
    """The JSON of `value` with a hostile value in one place, a key less, or a level of lists more."""
    value = copy.deepcopy(value)
    places = list(_places(value))
    holder, key = rng.choice(places)
    how = rng.randrange(4)
    if how == 0 and isinstance(holder, dict):
        del holder[key]
    elif how == 1:
        holder[key] = [holder[key]]
    else:
        holder[key] = rng.choice(VALUES)
    return json.dumps(value).encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


@contextmanager
def guarded(what: str) -> Iterator[None]:
    """No traceback, no hang, no gigabyte: what is done inside succeeds, or ends in an EmofuseError of one line."""

    def hung(*_: Any) -> None:
        raise AssertionError(f"{what}: still at work after {_LIMIT_S} s")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    previous = signal.signal(signal.SIGALRM, hung)
    signal.alarm(_LIMIT_S)
    try:
        yield
    except EmofuseError as error:
        assert 0 < len(str(error)) <= 2000, f"{what}: {str(error)[:3000]}"
    except AssertionError:
        raise
    except BaseException as error:
        raise AssertionError(f"{what}: {type(error).__name__}: {str(error)[:300]}") from error
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < _LIMIT_KB, f"{what}: took {grown / 1e6:.1f} GB"


def try_all(kind: str, count: int, make: Callable[[random.Random], bytes], read: Callable[[bytes], object]) -> None:
    """`read` what `make` makes of each of `count` seeds."""
    for seed in range(count):
        data = make(random.Random(f"{kind}-{seed}"))
        with guarded(f"{kind}, seed {seed}, {data[:60]!r}"):
            read(data)
