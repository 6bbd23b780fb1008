"""Which clips weights are fitted on and scored on, by the splits' names as tools and people write them."""

from ensembles.predictions.long_format import SPLITS
from features.errors import WrongUse
from features.names import unknown_name


def split_to_fit(name: str | None) -> str | None:
    """The clip table's split whose held-out clips are used; WrongUse for test clips and unknown names."""
    split = split_named(name)
    if split == "test":
        raise WrongUse("--fit-split expects validation or train, but got 'test': test clips are never fitted on.")
    return split


def scores_test(name: str | None, test: bool = False) -> bool:
    """Whether the test clips are scored; WrongUse for the train split and unknown names."""
    split = split_named(name)
    if split == "train":
        raise WrongUse(f"--score-split expects validation or test, but got {name!r}: members were fitted there.")
    return test or split == "test"


def split_named(name: str | None) -> str | None:
    """The clip table's split of that name (train, val, test); WrongUse tells the nearest of an unknown one."""
    if name is None:
        return None
    if name not in SPLITS:
        raise unknown_name("split", name, SPLITS)
    return SPLITS[name][0]
