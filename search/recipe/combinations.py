"""Words of a recipe that make no sense together, or rule nothing: refused before anything is trained."""

from features.errors import WrongUse
from features.names import unknown_name
from search.recipe.entry import Entry
from search.recipe.limits import Budget
from search.recipe.recipe import Recipe, StageName


def check_combinations(recipe: Recipe, source: str) -> None:
    """Refuse goals without an ensemble, choices that are none, and limits that could end nothing or begin nothing."""
    _check_goal(recipe, source)
    _check_choices(recipe, source)
    _check_fold_stopping(recipe, source)
    _check_budgets(recipe, source)


def _check_goal(recipe: Recipe, source: str) -> None:
    """Refuse what looks at the fused score where there is none."""
    asked = ["goal: ensemble"] * (recipe.goal == "ensemble") + ["stop_when"] * (recipe.stop_when is not None)
    members = [entry for stage, entry in recipe.all_entries() if stage != "backbone"]
    if asked and (wrong := next((entry.name for entry in members if entry.continuous), None)):
        raise WrongUse(
            f"{source}: {asked[0]}: an ensemble of classes is looked at, but entry {wrong!r} learns labels over time."
        )
    if asked and not members:
        raise WrongUse(
            f"{source}: {asked[0]}: an ensemble has models of clips as members, but there are backbones only."
        )


def _check_choices(recipe: Recipe, source: str) -> None:
    """Refuse a `choose_on` that is none of the partitions, and seeds of backbones, which are trained once."""
    for stage, entry in recipe.all_entries():
        place = f"{source}: entry {entry.name!r}"
        if stage == "backbone" and (entry.seeds is not None or entry.choose_on is not None):
            word = "choose_on" if entry.choose_on is not None else "seeds"
            raise WrongUse(f"{place}: {word}: a backbone is trained once, on stills; leave it out.")
        known = recipe.partition_names(stage)
        if entry.choose_on is not None and entry.choose_on not in known:
            raise WrongUse(f"{place}: choose_on: {unknown_name('partition', entry.choose_on, known)}")


def _check_fold_stopping(recipe: Recipe, source: str) -> None:
    """Refuse a rule that would look at no configuration."""
    stopping = recipe.fold_stopping
    if stopping is None:
        return
    looked_at = [trials_of_one(recipe, stage, entry) for stage, entry in recipe.all_entries() if not entry.choose_on]
    most = max(looked_at, default=0)
    if not stopping.rungs(most):
        there = f"they have {most} at most" if looked_at else "the entries have choose_on"
        raise WrongUse(
            f"{source}: fold_stopping: it looks at a configuration after {stopping.after} of its trials, but expected "
            f"one with more: {there}; leave it out, lower `after`, or give more partitions."
        )


def _check_budgets(recipe: Recipe, source: str) -> None:
    """Refuse budgets that hold no configuration, and GPU-hours of trials that have no GPU."""
    entries = list(recipe.all_entries())
    _check_budget(recipe, f"{source}: budget", recipe.budget, entries)
    for stage, entry in entries:
        _check_budget(recipe, f"{source}: entry {entry.name!r}: budget", entry.budget, [(stage, entry)])


def _check_budget(recipe: Recipe, place: str, budget: Budget, entries: list[tuple[StageName, Entry]]) -> None:
    least = min(trials_of_one(recipe, stage, entry) for stage, entry in entries)
    if budget.trials is not None and budget.trials < least:
        raise WrongUse(
            f"{place}.trials: expected {least} or more, as many as one configuration has (a trial for each partition "
            f"and seed), but got {budget.trials}."
        )
    if budget.gpu_hours is not None and not any(entry.request().gpu for _, entry in entries):
        raise WrongUse(f"{place}.gpu_hours: the trials ask for no GPU, so they would never end; give hours or trials.")


def trials_of_one(recipe: Recipe, stage: StageName, entry: Entry) -> int:
    """How many trials a configuration of the entry has: one for each partition and seed."""
    return len(recipe.partition_names(stage)) * recipe.seeds_of(stage, entry)
