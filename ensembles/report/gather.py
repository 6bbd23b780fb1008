"""What a page is made of: the facts of a run as its files tell them, also while a search works on it.

Everything that the sections show is here, so that they read no files themselves (but for a clip's picture).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from ensembles.comparison.leaderboard import Leaderboard, MemberRow, board_of
from ensembles.continuous.run import continuous_entries
from ensembles.predictions.joining import IMPORTED
from ensembles.predictions.scan import without_collector
from ensembles.predictions.sealed_scores import Look
from ensembles.predictions.sets import RunPredictions, read_run
from ensembles.records.ensemble import Ensemble
from ensembles.records.stored import readable_ensembles
from ensembles.report.clip_scores import Clips, fused_clips
from ensembles.report.names import human_names
from features.errors import DamagedFile, EmofuseError
from features.files import read_json
from search.recipe.copies import changed_copy
from search.run.ended import Ended, read_ended
from search.run.layout import Layout
from search.run.planned import REMEDY, WHAT, Planned, read_plan
from search.run.predictions import Footer, last_prediction_file, read_footer
from search.watch.status import Status, read_status

MOST_ROWS = 200  # members that are listed, with a section of their own
MOST_SHOWN = 25  # members in pictures
_MOST_SCORES = 30_000_000  # beyond, the nested predictions of the ensemble aren't made again for its clips


@dataclass(frozen=True, eq=False)
class Page:
    """All facts of a run.

    `status` is None for imported predictions. `board` and `predictions` are of the members that tell classes apart, and
    None where there are none; `problem` then says why. `places` are the members' places in the predictions by name.
    `names` are what people call members, by name; `over_time` are the entries of continuous emotion. `media` is
    the clip table, of which `pictures` and `sounds` are shown.
    """

    run: Path
    title: str
    look: Look
    status: Status | None
    plan: Sequence[Planned]
    ended: Sequence[Ended]
    board: Leaderboard | None
    predictions: RunPredictions | None
    problem: str
    over_time: frozenset[str]
    names: Mapping[str, str]
    recipe: str
    facts: str
    seed: int | None
    media: Path | None
    footer: Footer | None = None
    fast: bool = False
    pictures: bool = True
    sounds: bool = False
    places: Mapping[str, int] = field(default_factory=dict)

    def called(self, name: str) -> str:
        """What people call a member."""
        return self.names.get(name, name)

    @property
    def imported(self) -> bool:
        """Whether there was no search: all predictions are other tools'."""
        return self.status is None and self.footer is not None and self.footer.family == IMPORTED

    @property
    def lead(self) -> Ensemble | None:
        """The ensemble of the highest nested estimate."""
        return self.board.ensembles[0] if self.board and self.board.ensembles else None

    @property
    def shown(self) -> Sequence[MemberRow]:
        """The members that pictures show, the best first; the lead's own are among them."""
        if self.board is None:
            return ()
        own = {member.name for member in self.lead.members} if self.lead else set()
        best = {row.name for row in self.board.members[:MOST_SHOWN]}
        rows = [row for row in self.board.members if row.name in best | own]
        return rows[: 2 * MOST_SHOWN]

    @cached_property
    def fused(self) -> Clips | None:
        """What the lead says of the held-out clips, by weights that a clip's group had no part in where that is quick.

        None where there is no ensemble of classes or its members' predictions are gone.
        """
        if self.lead is None or self.predictions is None:
            return None
        held_out = self.predictions.held_out
        return fused_clips(self.run, self.lead, held_out, nested=not self.fast and held_out.P.size <= _MOST_SCORES)


@without_collector()
def gather(
    run: Path,
    look: Look = False,
    *,
    fast: bool = False,
    most: int = MOST_ROWS,
    pictures: bool = True,
    sounds: bool = False,
) -> Page:
    """Read a run; `most` members get intervals and what else takes time, `fast` leaves what takes longest to a report.

    Errors: EmofuseError where a folder holds neither predictions nor a run.
    """
    described = (run / "run.json").is_file()
    last = last_prediction_file(run)
    if not described and last is None:
        raise EmofuseError(f"{run}: there are no predictions to report on; run a search or import predictions first.")
    title, seed, clips = run.resolve().name, None, None
    if described:
        data = read_json(run / "run.json", WHAT, damaged=REMEDY)
        title, clips = data["recipe"]["name"], Path(data["clips"])
        seed = data["recipe"].get("seed")
    board = predictions = footer = None
    over_time, others = frozenset[str](), frozenset[str]()
    problem = "" if last is not None else "No trial has finished yet, so there are no predictions to show."
    try:
        if last is not None:
            over_time, others = map(frozenset, continuous_entries(run))
            footer = read_footer(last)
    except DamagedFile as error:
        if not fast:
            raise
        problem, last = str(error), None
    if others or (last is not None and not over_time):
        try:
            predictions = read_run(run, _partitions(run))
            board = board_of(run, predictions, test=look, intervals=most, details=most)
        except EmofuseError as error:
            if not described or look or (isinstance(error, DamagedFile) and not fast):
                raise
            problem = str(error)  # a search that has just begun has backbones, or half a member
    plan = tuple(read_plan(run)[0]) if described else ()
    members = predictions.held_out.members if predictions else ()
    return Page(
        run=run,
        title=title,
        look=look,
        status=read_status(Layout(run.resolve())) if described else None,
        plan=plan,
        ended=tuple(read_ended(run)),
        board=board,
        predictions=predictions,
        problem=problem,
        over_time=over_time,
        names=human_names(run, members),
        recipe=_recipe(run),
        facts=_facts(footer),
        seed=seed,
        media=clips,
        footer=footer,
        fast=fast,
        pictures=pictures,
        sounds=sounds,
        places={member.name: m for m, member in enumerate(members)},
    )


def gather_state(page: Page) -> Page:
    """The same run with its state read anew; the predictions stay those of `page`."""
    described = (page.run / "run.json").is_file()
    return replace(
        page,
        status=read_status(Layout(page.run.resolve())) if described else None,
        plan=tuple(read_plan(page.run)[0]) if described else (),
        ended=tuple(read_ended(page.run)),
    )


def _partitions(run: Path) -> tuple[str, ...] | None:
    """The partitions of the first ensemble, so that models and ensembles are scored on the same rows."""
    found = [ensemble for ensemble in readable_ensembles(run) if ensemble.over_time is None]
    return (found[0].partitions or None) if found else None


def _recipe(run: Path) -> str:
    """The run's recipe; a run that was only imported has none."""
    path = run / "recipe.yaml"
    if not path.is_file():
        return "No recipe: the predictions were imported."
    text = path.read_text(encoding="utf-8", errors="replace")
    told = changed_copy(path)
    return text if told is None else f"# {told}\n{text}"


def _facts(footer: Footer | None) -> str:
    if footer is None:
        return ""
    facts = {
        "clips fingerprint": footer.clips_fingerprint,
        "classes": list(footer.classes),
        "git revision": footer.git_revision,
        "versions": dict(footer.versions),
    }
    return json.dumps(facts, indent=2)
