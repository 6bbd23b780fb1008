"""A page: the sections of a run in their order, and the file that holds them all."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ensembles.predictions.scan import without_collector
from ensembles.predictions.sealed_scores import Look
from ensembles.report.artist import Artist
from ensembles.report.blocks import Section
from ensembles.report.gather import MOST_ROWS, Page, gather
from ensembles.report.render import whole_page
from ensembles.report.sections import (
    agreement,
    calibration,
    clips,
    confusions,
    cost,
    ensembles,
    failures,
    fused,
    headline,
    history,
    importance,
    latency,
    leaderboard,
    members,
    now,
    over_time,
    paper,
    partitions,
    reproduce,
    seeds,
)
from features.errors import EmofuseError
from features.files import write_bytes

# What changes while no prediction comes.
STATE = ("now", "failures", "history", "fused", "cost")
_PARTS = (
    leaderboard,
    seeds,
    ensembles,
    confusions,
    agreement,
    partitions,
    history,
    fused,
    importance,
    cost,
    latency,
    clips,
    calibration,
)


@without_collector()
def write_report(
    run: Path, out: Path, *, test: Look = False, pictures: bool = True, sounds: bool = False, static: bool = False
) -> Path:
    """Write a run's report as one HTML file; `test` also scores the members on the test clips (a final look).

    `pictures` shows frames of single clips where their media are at hand, `sounds` lets them be heard, `static` leaves
    all scripts out. Errors: a folder without predictions and without a run.
    """
    with Artist() as artist:
        page = gather(run, test, pictures=pictures, sounds=sounds)
        sections = (section for section in _sections(page) if section is not None)
        html = whole_page(page.title, subtitle(page), sections, static=static, artist=artist)
    write_bytes(out, html.encode())
    return out


def all_sections(page: Page, *, state_only: bool = False) -> list[Section]:
    """The sections of a run, in the order in which they are read; absent ones have nothing to show.

    With `state_only` those that change while no prediction comes.
    """
    return [section for section in _sections(page, state_only) if section is not None]


def _sections(page: Page, state_only: bool = False) -> Iterator[Section | None]:
    state, failed = now.section(page), failures.section(page)
    if state_only:
        yield from (state, failed, history.section(page), fused.section(page), cost.section(page))
        return
    busy = page.status is not None and (
        page.status.running or bool(page.status.left) or not (page.board or page.over_time)
    )
    yield from (state, failed) if busy else ()
    yield headline.section(page)
    yield from _as_far_as_there(page, lambda: over_time.sections(page))
    for part in _PARTS:
        yield part.section(page)
    yield from () if busy else (state, failed)
    yield members.section(page)
    yield from _as_far_as_there(page, lambda: [paper.section(page)])
    yield reproduce.section(page)


def _as_far_as_there(page: Page, make: Callable[[], Sequence[Section | None]]) -> Sequence[Section | None]:
    """What needs predictions that a search in its course may not have made yet; of other runs an error is one."""
    try:
        return make()
    except EmofuseError:
        if page.status is None or not (page.status.left or page.status.running):
            raise
        return ()


def subtitle(page: Page) -> str:
    """What the run consists of, in one line."""
    if page.board is None:
        learnt = ", ".join(sorted(page.over_time))
        return page.problem or (f"Continuous emotion, learnt by {learnt}" if learnt else "")
    board = page.board
    who = f"{_count(board.members, 'model')} and {_count(board.ensembles, 'ensemble')}"
    where = f"{_count(board.partitions, 'partition')}: {', '.join(board.partitions)}"
    text = f"{who} on {board.n_clips} held-out clips of {board.n_groups} groups, {where}"
    if len(board.members) > MOST_ROWS:
        text += f"; the {MOST_ROWS} best models are shown in full"
    return text


def _count(things: Sequence[object], what: str) -> str:
    return f"{len(things)} {what}{'' if len(things) == 1 else 's'}"
