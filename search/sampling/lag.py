"""How far TPE runs ahead of results, by what the machines hold at once.

TPE asks for configuration n once all before n - lag have ended: with that, lag + 1 configurations run side by side
whatever finishes first, and the same recipe, seed and lag give the same configurations. A configuration that takes long
holds up those that are more than `lag` behind it, so the lag is a multiple of what runs at once.
"""

import math


def lag_for(at_once: float) -> int:
    """The lag with which `at_once` configurations of an entry can run and hardly a place waits for results.

    The more run at once, the longer the longest of them: for lengths whose logarithm spreads by 0.5 places wait for
    less than 5 % of the time, from one place to 500.
    """
    at_once = max(1.0, at_once)
    return math.ceil(at_once * (1.5 + 0.4 * math.log2(at_once)))


def at_once(slots: int, partitions: int, configurations: int, all_configurations: int) -> float:
    """How many configurations of an entry run at once where `slots` of its trials do.

    Entries of a stage share the places; one with more of the `all_configurations` of the stage has them for longer.
    """
    return slots / partitions * configurations / all_configurations
