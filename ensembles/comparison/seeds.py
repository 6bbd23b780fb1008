"""Mean and spread of members that were trained with several seeds."""

from collections import defaultdict
from collections.abc import Mapping

from ensembles.evaluation.metrics import summaries
from ensembles.evaluation.spread import Spread, spreads
from ensembles.predictions.sealed_scores import Look, looked_at
from ensembles.predictions.sets import RunPredictions

BySeed = Mapping[str, Mapping[str, Spread]]


def seeds_of(predictions: RunPredictions, test: Look = False) -> tuple[BySeed, BySeed]:
    """By member, of held-out and of test clips: each metric's spread over seeds; nothing of members with one seed."""
    if not predictions.repeats:
        return {}, {}
    held_out: dict[str, list[Mapping[str, float]]] = defaultdict(list)
    on_test: dict[str, list[Mapping[str, float]]] = defaultdict(list)
    for one in (predictions, *predictions.repeats):
        columns = {name: values.tolist() for name, values in summaries(one.held_out.y, one.held_out.P).items()}
        for m, member in enumerate(one.held_out.members):
            held_out[member.name].append({name: values[m] for name, values in columns.items()})
        if test:
            tests = looked_at(one.test, test)
            for m, member in enumerate(tests.members):
                on_test[member.name].append(tests.score(tests.P[m]).metrics)
    return _spread(held_out), _spread(on_test)


def _spread(scored: Mapping[str, list[Mapping[str, float]]]) -> BySeed:
    return {name: spreads(own) for name, own in scored.items() if len(own) > 1}
