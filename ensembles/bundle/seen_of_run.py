"""The distributions of what a run's members were trained on, gathered from its feature store for the bundle."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ensembles.bundle.seen import Seen, described, distribution
from features.errors import EmofuseError
from features.progress import say

if TYPE_CHECKING:
    from search.run.folder import RunFolder

# So many clips, spread over the table, tell as much as all.
_MOST = 1000


def seen_of_run(run: "RunFolder", specs: Mapping[str, str]) -> dict[str, Seen]:
    """By a set's name in the bundle, what its training clips (train and val) looked like.

    `specs` are the sets as the run's store knows them. A store that is gone is told; the bundle then can't tell.
    """
    from features.store.store import open_set

    found: dict[str, Seen] = {}
    try:
        table = run.table("clips")
        learnt = [clip for clip in table.clips if clip.split != "test"]
        learnt = learnt[:: max(1, len(learnt) // _MOST)]
        for name, spec in specs.items():
            stored = open_set(run.store, spec, table)
            clips = [clip for clip in learnt if stored.has(clip.clip_id)]
            vectors = [described(stored[clip.clip_id]) for clip in clips]
            whole = [(v, clip.group_id) for v, clip in zip(vectors, clips, strict=True) if np.isfinite(v).all()]
            seen = distribution(np.stack([v for v, _ in whole]), [group for _, group in whole]) if whole else None
            if seen is not None:
                found[name] = seen
    except EmofuseError as error:
        say(f"The bundle can't tell clips that are unlike its training clips, since these can't be read: {error}")
        return {}
    return found
