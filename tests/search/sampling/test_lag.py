"""A cluster of 500 places, simulated: trials of made-up lengths, and TPE that must not hold them up."""

import heapq
import math
import random

import pytest

from search.sampling.lag import at_once, lag_for


def _waited(places: int, configurations: int, partitions: int, lag: int, length, seed: int) -> float:
    """The share of the places' time that they wait for TPE, until the last configuration was asked for."""
    numbers = random.Random(seed)
    running: list[tuple[float, int]] = []
    ready: list[tuple[int, float]] = []
    left: dict[int, int] = {}
    free, now, asked, settled, waited, worked = places, 0.0, 0, 0, 0.0, 0.0
    while True:
        while free and (ready or (asked < configurations and asked - lag <= settled)):
            if not ready:
                usual = length(numbers)
                ready = [(asked, usual * numbers.uniform(0.9, 1.1)) for _ in range(partitions)]
                left[asked] = partitions
                asked += 1
            number, takes = ready.pop()
            heapq.heappush(running, (now + takes, number))
            free -= 1
        if asked == configurations:
            return waited / (waited + worked)
        ended, number = heapq.heappop(running)
        waited, worked = waited + free * (ended - now), worked + (places - free) * (ended - now)
        now, free = ended, free + 1
        left[number] -= 1
        while left.get(settled) == 0:
            settled += 1


@pytest.mark.parametrize(("places", "partitions"), [(500, 1), (500, 5), (16, 2), (4, 1)])
@pytest.mark.parametrize("spread", [0.3, 0.5])
def test_no_place_waits_for_tpe(places, partitions, spread):
    lag = lag_for(at_once(places, partitions, 1, 1))

    def length(numbers):
        return math.exp(numbers.gauss(0, spread))

    configurations = 8 * places // partitions
    waits = [_waited(places, configurations, partitions, lag, length, seed) for seed in range(3)]
    assert sum(waits) / 3 < 0.05
    most = 0.15 if places > 4 else 0.0  # a lag of as many as run at once is too short; four places are few
    assert (
        sum(_waited(places, configurations, partitions, places // partitions, length, s) for s in range(3)) / 3 > most
    )


def test_the_lag_follows_what_an_entry_has_of_the_machines():
    assert [lag_for(n) for n in (0.2, 1, 4, 16, 500)] == [2, 2, 10, 50, 2544]
    assert at_once(16, 2, configurations=10, all_configurations=40) == 2
