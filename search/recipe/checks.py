"""What is checked of a recipe before anything is trained: families, inputs, hyperparameters, numbers."""

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from features.errors import EmofuseError, WrongUse
from features.names import unknown_name
from features.schema import where
from models.family import Family
from search.recipe import inputs, overrides
from search.recipe.entry import Entry
from search.recipe.limits import Budget
from search.recipe.recipe import Recipe, StageName
from search.recipe.submissions import check_submissions


def check_recipe(recipe: Recipe, source: str, imported: frozenset[str] = frozenset()) -> None:
    """Refuse unknown families, inputs, hyperparameters and feature sets; `imported` are the store's own sets."""
    names = recipe.partition_names("clips")
    double = {name for name in names if names.count(name) > 1}
    if double:
        raise WrongUse(f"{source}: partitions: {min(double)!r} is there twice.")
    backbones: dict[str, Family] = {}
    clip_entries: set[str] = set()
    seen: set[str] = set()
    for number, stage in enumerate(recipe.stages):
        for name, entry in stage.entries.items():
            place = where(("stages", number, "entries", name))
            if entry.name != name:
                raise WrongUse(f"{source}: {place}: an entry's name is its key; leave out name {entry.name!r}.")
            if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]*", name):
                raise WrongUse(f"{source}: {place}: an entry's name is made of letters, digits, _ and -, as files are.")
            if name in seen:
                raise WrongUse(f"{source}: {place}: an earlier stage has an entry of this name; give one another name.")
            seen.add(name)
            try:
                _check_entry(stage.stage, entry, backbones, clip_entries, imported)
            except EmofuseError as error:
                raise WrongUse(f"{source}: {place}: {error}") from None
        if stage.stage == "backbone":
            backbones |= {name: e.record() for e in stage.entries.values() for name in (e.name, e.family)}
        if stage.stage == "clips":
            clip_entries |= set(stage.entries)
    _check_metric(recipe, source)
    _check_combinations(recipe, source)
    fusible = {entry.name for stage_name, entry in recipe.all_entries() if stage_name != "backbone"}
    check_submissions(recipe.submissions, source, fusible, recipe.partition_names("clips"))


def _check_entry(
    stage: StageName,
    entry: Entry,
    backbones: Mapping[str, Family],
    clip_entries: AbstractSet[str],
    imported: frozenset[str],
) -> None:
    family = entry.record()
    if family.stage != stage:
        raise WrongUse(f"Family {family.name!r} belongs to stage {family.stage!r}, but the entry's stage is {stage!r}.")
    if entry.task and entry.task not in family.tasks:
        raise WrongUse(f"task: family {family.name!r} is for {' or '.join(family.tasks)}, but got {entry.task!r}.")
    if entry.metric is not None and (entry.metric == "ccc") != entry.continuous:
        raise WrongUse(f"metric: {_other_task(entry.metric)}")
    wishes = [
        *(["max_epochs"] if (entry.max_epochs or 1) > 1 else []),
        *(["training"] if entry.training.wishes() else []),
    ]
    if wishes and family.max_epochs == 1:
        raise WrongUse(f"{wishes[0]}: family {family.name!r} is not trained in epochs; leave it out.")
    _check_weights(entry, family, backbones)
    if entry.clip_faces is not None:
        if stage != "backbone":
            raise WrongUse(f"clip_faces: only a backbone's layers are computed of faces, but the stage is {stage!r}.")
        inputs.check_set_spec(entry.clip_faces, family.inputs[0], imported)
    _check_inputs(stage, entry, backbones, clip_entries, imported)
    _check_hyperparameters(entry, family)
    _check_points(entry, family)


def _check_metric(recipe: Recipe, source: str) -> None:
    """Refuse a metric of the recipe that is of no entry's task, and so would rule nothing."""
    tasks = {entry.continuous for stage, entry in recipe.all_entries()}
    if recipe.metric is not None and (recipe.metric == "ccc") not in tasks:
        raise WrongUse(f"{source}: metric: {_other_task(recipe.metric)}")


def _check_combinations(recipe: Recipe, source: str) -> None:
    """Refuse goals without an ensemble, choices that are none, and limits that could end nothing or begin nothing."""
    _check_goal(recipe, source)
    _check_choices(recipe, source)
    _check_fold_stopping(recipe, source)
    _check_budgets(recipe, source)


def _check_goal(recipe: Recipe, source: str) -> None:
    """Refuse what looks at the fused score where there is none, and shares of a goal that has none."""
    if recipe.shares is not None and recipe.goal != "ensemble":
        raise WrongUse(f"{source}: shares: only `goal: ensemble` has them; leave the key out, or name that goal.")
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
    looked_at = [_trials_of_one(recipe, stage, entry) for stage, entry in recipe.all_entries() if not entry.choose_on]
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
    least = min(_trials_of_one(recipe, stage, entry) for stage, entry in entries)
    if budget.trials is not None and budget.trials < least:
        raise WrongUse(
            f"{place}.trials: expected {least} or more, as many as one configuration has (a trial for each partition "
            f"and seed), but got {budget.trials}."
        )
    if budget.gpu_hours is not None and not any(entry.request().gpu for _, entry in entries):
        raise WrongUse(f"{place}.gpu_hours: the trials ask for no GPU, so they would never end; give hours or trials.")


def _trials_of_one(recipe: Recipe, stage: StageName, entry: Entry) -> int:
    """How many trials a configuration of the entry has: one for each partition and seed."""
    return len(recipe.partition_names(stage)) * recipe.seeds_of(stage, entry)


def _other_task(metric: str) -> str:
    if metric == "ccc":
        return "ccc is the metric of continuous emotion, but classes are told apart here; see docs/search.md."
    return f"continuous emotion is measured by ccc, but got {metric!r}, which is a metric of classes."


def _check_weights(entry: Entry, family: Family, backbones: Mapping[str, Family]) -> None:
    if (entry.weights or entry.weights_from) and not family.weights:
        raise WrongUse(f"weights: family {family.name!r} can't start from pretrained weights.")
    if entry.weights and entry.weights_from:
        raise WrongUse("weights: a file and `weights_from` exclude each other; keep one.")
    if entry.weights_from and entry.weights_from not in backbones:
        raise WrongUse(
            f"weights_from: no earlier backbone stage has an entry {entry.weights_from!r} (there: "
            f"{', '.join(sorted(backbones)) or 'none'})."
        )


def _check_inputs(
    stage: StageName,
    entry: Entry,
    backbones: Mapping[str, Family],
    clip_entries: AbstractSet[str],
    imported: frozenset[str],
) -> None:
    family = entry.record()
    known = {slot.slot: slot for slot in family.inputs}
    for slot, given in entry.inputs.items():
        if slot not in known:
            raise unknown_name(f"input of family {family.name!r}", slot, known)
        if not isinstance(given, str) and not known[slot].many:
            raise WrongUse(f"Input {slot!r}: expected one feature set, but got a list of {len(given)}.")
    slots = inputs.slots(family, entry.input_specs())
    for slot, text in entry.input_specs().items():
        inputs.check_whitening(text, slots[slot])
        spec = inputs.source(text)
        layer = inputs.split_layer(spec)
        if stage == "fusion":
            _check_member(slot, spec, entry, clip_entries)
        elif layer is None:
            inputs.check_set_spec(spec, slots[slot], imported)
        elif layer[0] not in backbones:
            raise WrongUse(
                f"Input {slot!r}: {spec!r} is a layer of backbone {layer[0]!r}, but no earlier backbone stage has such "
                f"an entry (there: {', '.join(sorted(backbones)) or 'none'})."
            )
        elif layer[1] not in inputs.layers(backbones[layer[0]]):
            raise unknown_name(f"layer of backbone {layer[0]!r}", layer[1], inputs.layers(backbones[layer[0]]))


def _check_hyperparameters(entry: Entry, family: Family) -> None:
    for name in (*entry.space, *entry.fixed):
        if name not in family.space:
            raise unknown_name(f"hyperparameter of family {family.name!r}", name, family.space)
        if name in entry.space and name in entry.fixed:
            raise WrongUse(f"Hyperparameter {name!r} stands under both `space` and `fixed`; keep one.")
    for name, given in (*entry.space.items(), *entry.fixed.items()):
        try:
            change = overrides.fitting if name in entry.fixed else overrides.override
            change(family.space[name], given)
        except WrongUse as error:
            raise WrongUse(f"Hyperparameter {name!r}: {error}") from None


def _check_points(entry: Entry, family: Family) -> None:
    """Refuse own first points, and values that draws lie around, outside the space that is searched."""
    places = [(f"points[{number}]", point) for number, point in enumerate(entry.points)]
    space = entry.effective_space()
    for place, values in (*places, ("prior", entry.prior)):
        for name, value in values.items():
            if name not in family.space:
                raise unknown_name(f"hyperparameter of family {family.name!r} in {place}", name, family.space)
            if name not in space:
                raise WrongUse(f"{place}: hyperparameter {name!r} is `fixed`, so it is not searched; leave it out.")
            try:
                expected = space[name].check(overrides.fitting(space[name], value))
            except WrongUse as error:
                raise WrongUse(f"{place}: hyperparameter {name!r}: {error}") from None
            if expected:
                raise WrongUse(f"{place}: hyperparameter {name!r}: expected {expected}, but got {value!r}.")


def _check_member(slot: str, member: str, entry: Entry, clip_entries: AbstractSet[str]) -> None:
    """Refuse what is no earlier entry of stage `clips`, and one that is listed twice."""
    if member not in clip_entries:
        raise WrongUse(
            f"Input {slot!r}: a fusion reads the encodings of entries of an earlier stage `clips`, but {member!r} is "
            f"none (there: {', '.join(sorted(clip_entries)) or 'none'})."
        )
    if [inputs.source(text) for text in entry.input_specs().values()].count(member) > 1:
        raise WrongUse(f"Input {slot!r}: entry {member!r} is listed twice.")
