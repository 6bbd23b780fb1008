"""Whether a search that goes on means what lies in its run: the same clips, the same seed, the same entries by name."""

from pathlib import Path
from typing import Protocol

from features.errors import EmofuseError, WrongUse
from search.recipe.entry import Entry
from search.recipe.recipe import Recipe
from search.run.predictions import prediction_files, read_footer


class Run(Protocol):
    """What is compared of a run (search.run.folder)."""

    @property
    def path(self) -> Path:
        """Its folder."""
        ...

    @property
    def recipe(self) -> Recipe:
        """Its recipe."""
        ...

    @property
    def clips_fingerprint(self) -> str:
        """That of its clip table."""
        ...

    @property
    def stills_fingerprint(self) -> str | None:
        """That of its stills, if it has any."""
        ...


def changed(run: Run, what: str, expected: str, came: str) -> EmofuseError:
    """The mistake of a table with other clips than the run's."""
    return EmofuseError(
        f"{run.path}: this run belongs to {what} with the fingerprint {expected[:12]}, but the table's is now "
        f"{came[:12]}; use the table that the run was started with, or start a run in another folder."
    )


def refuse_other_data(earlier: Run, run: Run) -> None:
    """Refuse other clips or stills than those of `earlier`."""
    if run.clips_fingerprint != earlier.clips_fingerprint:
        raise changed(run, "clips", earlier.clips_fingerprint, run.clips_fingerprint)
    if earlier.stills_fingerprint and run.stills_fingerprint != earlier.stills_fingerprint:
        raise changed(run, "stills", earlier.stills_fingerprint, str(run.stills_fingerprint))


def refuse_other_meaning(earlier: Run, run: Run) -> None:
    """Refuse another seed, and entries that are something else under their old names."""
    old, new = earlier.recipe, run.recipe
    if old.seed != new.seed:
        raise _other_seed(run, old.seed)
    before = {entry.name: entry for _, entry in old.all_entries()}
    for _, entry in new.all_entries():
        was = before.get(entry.name, entry)
        if was.continuous != entry.continuous:
            raise WrongUse(f"{run.path}: entry {entry.name!r} had another task; name the new one anew.")
        if (was.family, was.input_specs()) != (entry.family, entry.input_specs()):
            raise _other_entry(run, entry, was.family, was.input_specs())


def _other_seed(run: Run, seed: int) -> WrongUse:
    return WrongUse(
        f"{run.path}: this run's seed is {seed}, but the recipe's is {run.recipe.seed}; keep it, or start a run in "
        "another folder."
    )


def _other_entry(run: Run, entry: Entry, family: str, inputs: dict[str, str]) -> WrongUse:
    return WrongUse(
        f"{run.path}: entry {entry.name!r} was family {family!r} on {_listed(inputs)}, but the recipe now says family "
        f"{entry.family!r} on {_listed(entry.input_specs())}; name the new one anew."
    )


def refuse_other_trials(run: Run) -> None:
    """The same where run.json is gone or damaged: a prediction file of each entry tells what the run belongs to."""
    found = {path.parent: path for path in prediction_files(run.path)}
    entries = {entry.name: entry for _, entry in run.recipe.all_entries()}
    for path in found.values():
        try:
            footer = read_footer(path)
        except EmofuseError:
            continue  # the search trains it again
        if not footer.inputs:
            continue  # imported
        backbone = footer.stage == "backbone"
        expected = run.stills_fingerprint if backbone else run.clips_fingerprint
        if expected is not None and footer.clips_fingerprint != expected:
            raise changed(run, "stills" if backbone else "clips", footer.clips_fingerprint, expected)
        if footer.recipe_seed != run.recipe.seed:
            raise _other_seed(run, footer.recipe_seed)
        entry = entries.get(footer.entry)
        if entry is not None and (footer.family, dict(footer.inputs)) != (entry.family, entry.input_specs()):
            raise _other_entry(run, entry, footer.family, dict(footer.inputs))


def _listed(specs: dict[str, str]) -> str:
    return ", ".join(f"{slot}={spec}" for slot, spec in specs.items())
