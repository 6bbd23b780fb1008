"""Test recordings with labels that came later, for what is scored alone."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ensembles.predictions.later_annotations import TestAnnotations
from ensembles.predictions.sealed_scores import TestLabels
from features.errors import WrongUse
from search.run.continuous_predictions import ContinuousPredictions

LookOverTime = bool | TestAnnotations  # whether test recordings are scored, and by which labels that came later


def seen_over_time(look: bool | TestLabels | TestAnnotations) -> LookOverTime:
    """How test recordings are looked at; refused are classes of clips, which are no labels of these."""
    if isinstance(look, TestLabels):
        raise WrongUse(
            f"--labels: {look.source} holds classes of clips, but the members learnt continuous emotion: expected a "
            "folder of label files in AVEC's form, or the columns clip_id, time_s and one for each dimension."
        )
    return look


def labelled(
    members: Mapping[str, Sequence[ContinuousPredictions]], dimensions: tuple[str, ...], look: LookOverTime
) -> Mapping[str, Sequence[ContinuousPredictions]]:
    """The trials of each member, whose test recordings have the labels that came later; otherwise as they are."""
    if not isinstance(look, TestAnnotations):
        return members
    known = {
        track.clip_id: (track.time_s, track.y)
        for own in members.values()
        for trial in own
        for track in trial.tracks
        if track.role == "test"
    }
    y = look.labelled(known, dimensions)

    def with_labels(trial: ContinuousPredictions) -> ContinuousPredictions:
        tracks = [replace(track, y=y[track.clip_id]) if track.role == "test" else track for track in trial.tracks]
        return replace(trial, tracks=tuple(tracks))

    return {name: [with_labels(trial) for trial in own] for name, own in members.items()}
