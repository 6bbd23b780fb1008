"""Where the members of a stored ensemble stand among those of its run."""

from collections.abc import Sequence

from ensembles.predictions.sets import Member
from ensembles.records.ensemble import Ensemble
from features.errors import EmofuseError


def find_places(ensemble: Ensemble, members: Sequence[Member]) -> tuple[list[int], list[str]]:
    """Where the ensemble's members stand among `members`, by their refits where these are refits; names of the absent.

    One configuration may be there twice, refitted for two partitions.
    """
    refits = {
        footer.trial_key: m for m, one in enumerate(members) for name, footer in one.trials.items() if name == "full"
    }
    configs = {(member.entry, member.config_key): m for m, member in enumerate(members)}
    found = [
        refits.get(str(member.refit)) if refits else configs.get((member.entry, member.config_key))
        for member in ensemble.members
    ]
    absent = [member.name for member, place in zip(ensemble.members, found, strict=True) if place is None]
    return [place for place in found if place is not None], absent


def places_of(ensemble: Ensemble, members: Sequence[Member]) -> list[int]:
    """Where the ensemble's members stand among `members`; EmofuseError where one is missing."""
    places, absent = find_places(ensemble, members)
    if absent:
        raise EmofuseError(f"Ensemble {ensemble.name!r}: the predictions of its member {absent[0]} are gone.")
    return places
