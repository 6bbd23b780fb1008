"""The clips of a table predicted from their media, or from features that whoever predicts brings along."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ensembles.applying.asked import Asked
from ensembles.applying.many import predict_many
from ensembles.applying.rows import Result
from ensembles.bundle.bundle import Bundle
from ensembles.bundle.given import given_features, refuse_media_alone
from ensembles.bundle.predict import Predictor
from features.clips import ClipTable


def predict_table(
    bundle: Bundle,
    table: ClipTable | None,
    clips: Sequence[Asked],
    features: Sequence[str],
    workers: int | None,
    device: str,
    encoders: Mapping[str, Path],
) -> Iterator[tuple[Asked, Result]]:
    """Each clip with what the bundle says of it; `features` are places of imported sets for those of the `table`.

    Without `features` as `predict_many`. Errors: WrongUse where the bundle reads imported sets and none are given.
    """
    if not features or table is None:
        refuse_media_alone(bundle.imported, bundle.folder)
        yield from predict_many(bundle, clips, workers=workers, device=device, encoders=encoders)
        return
    with given_features(bundle.imported, table, features, bundle.folder) as found:
        predictor = Predictor(bundle.folder, device, encoders)
        some = replace(table, clips=tuple(table.by_id(clip.name) for clip in clips))
        yield from zip(clips, predictor.predict_given(replace(found, table=some)), strict=True)
