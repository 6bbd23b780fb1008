"""Many clips predicted by several processes, each with the bundle's models loaded once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ensembles.applying.asked import Asked
from ensembles.applying.rows import Result
from ensembles.bundle.bundle import Bundle
from ensembles.bundle.predict import Predictor
from ensembles.bundle.results import ClipPrediction, TracePrediction
from features.cores import cores
from features.workers.clip_processes import ProcessDied, run_all

# A process takes some seconds to begin: so many clips pay for one.
_CLIPS_PER_WORKER = 6
_MOST_ON_GPU = 4


@dataclass(frozen=True)
class _Job:
    """What a worker process needs to know."""

    folder: Path
    device: str
    encoders: tuple[tuple[str, Path], ...]

    def run(self, clip: Asked) -> Result:
        """Predict one clip; a failure of the clip is a result with its reason."""
        predictor = _loaded(self)
        if predictor.bundle.ensemble.over_time:
            return predictor.trace_media(clip.media, clip.name)
        return predictor.predict_media(clip.media, clip.name)


@lru_cache(maxsize=1)
def _loaded(job: _Job) -> Predictor:
    return Predictor(job.folder, job.device, dict(job.encoders))


def predict_many(
    bundle: Bundle,
    clips: Sequence[Asked],
    *,
    workers: int | None = None,
    device: str = "cpu",
    encoders: Mapping[str, Path] | None = None,
) -> Iterator[tuple[Asked, Result]]:
    """Each clip with what the bundle says of it, as it is done, in `workers` processes (0: in this one).

    None takes one for each core, as long as each has clips enough. A clip whose process dies of it is a result with
    that reason. Errors: those of `Predictor`, MachineFault.
    """
    if workers is None:
        most = cores() if device == "cpu" else min(cores(), _MOST_ON_GPU)
        workers = min(most, len(clips) // _CLIPS_PER_WORKER)
        workers = workers if workers > 1 else 0
    job = _Job(bundle.folder.resolve(), device, tuple((encoders or {}).items()))
    _loaded.cache_clear()  # the folder may hold another bundle by now, and other plug-ins may be in use
    if not workers:
        _loaded(job)  # what is wrong with the bundle is told before the first clip
    for clip, result in run_all(job.run, clips, workers):
        yield clip, _died(bundle, clip, result.reason) if isinstance(result, ProcessDied) else result


def _died(bundle: Bundle, clip: Asked, why: str) -> Result:
    if bundle.ensemble.over_time:
        import numpy as np

        nothing = np.zeros((0, len(bundle.ensemble.outputs)))
        return TracePrediction(clip.name, bundle.ensemble.outputs, nothing[:, 0], nothing, reason=f"unreadable: {why}")
    return ClipPrediction(clip.name, reason=f"unreadable: {why}")
