"""Submissions: named ensembles of a recipe, each with exactly its members."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from features.errors import WrongUse
from features.names import unknown_name


class Submission(BaseModel):
    """One of three kinds, which say what else belongs to it.

    `members` (an entry: its best configuration on the `partition`, or `ENTRY/CONFIG`) are fused by `method` (None:
    `decision`, of continuous emotion `concordance`) with `params`. `refit_of` is an earlier submission whose members
    are trained again on train and val, its weights kept. `over` are earlier refitted submissions, whose outputs on
    train and val are fused by the method.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    partition: str | None = None
    members: tuple[str, ...] = ()
    refit_of: str | None = None
    over: tuple[str, ...] = ()
    method: str | None = None
    params: dict[str, Any] = {}


def check_submissions(
    submissions: tuple[Submission, ...], source: str, entries: set[str], partitions: tuple[str, ...]
) -> None:
    """Refuse what names no entry, no partition or no earlier submission, and what is of no kind or of two."""
    earlier: dict[str, Submission] = {}
    for one in submissions:
        place = f"{source}: submission {one.name!r}"
        if one.name in earlier:
            raise WrongUse(f"{place}: an earlier one has this name.")
        if sum(bool(kind) for kind in (one.members, one.refit_of, one.over)) != 1:
            raise WrongUse(f"{place}: expected one of `members`, `refit_of` and `over`.")
        if bool(one.members) != (one.partition is not None):
            raise WrongUse(f"{place}: `members` and `partition` belong together, and to no other kind.")
        if one.partition is not None and one.partition not in partitions:
            raise WrongUse(f"{place}: {unknown_name('partition', one.partition, partitions)}")
        for member in one.members:
            if member.partition("/")[0] not in entries:
                raise WrongUse(f"{place}: {unknown_name('entry', member.partition('/')[0], entries)}")
        for name in (*one.over, *([one.refit_of] if one.refit_of else [])):
            if name not in earlier:
                raise WrongUse(f"{place}: {unknown_name('earlier submission', name, earlier)}")
        if one.refit_of and not earlier[one.refit_of].members:
            raise WrongUse(f"{place}: {one.refit_of!r} has no members of its own to refit.")
        if any(earlier[name].refit_of is None for name in one.over):
            raise WrongUse(f"{place}: `over` takes refitted submissions, whose members all know train and val.")
        earlier[one.name] = one
