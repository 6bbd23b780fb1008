"""What a bundle says of a clip as flat rows, the same in every kind of file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ensembles.applying.asked import Asked
from ensembles.bundle.bundle import Bundle
from ensembles.bundle.results import ClipPrediction, TracePrediction

Row = dict[str, Any]
Result = ClipPrediction | TracePrediction
_TEXTS = frozenset({"clip_id", "path", "label", "left_out", "unlike", "reason", "bundle"})
_DIGITS = 6
_DIGEST = 12  # characters of the bundle's digest


@dataclass(frozen=True)
class Columns:
    """The columns of a file of predictions, in order, for the results of one bundle.

    Of classes a row for each clip, of continuous emotion one for each step; with `members` there are the probabilities
    of each. With `abstain` a clip that is unlike the training clips has no label.
    """

    classes: tuple[str, ...]
    dimensions: tuple[str, ...]
    members: tuple[str, ...]
    bundle: str
    abstain: bool = False

    @classmethod
    def of(cls, bundle: Bundle, details: bool = False, abstain: bool = False) -> "Columns":
        """The columns for a bundle."""
        dimensions = bundle.ensemble.outputs if bundle.ensemble.over_time else ()
        members = bundle.member_names if details and not dimensions else ()
        return cls(bundle.ensemble.classes, dimensions, members, bundle.digest[:_DIGEST], abstain)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        own = (
            ("clip_id", "path", "time_s", *self.dimensions)
            if self.dimensions
            else (
                "clip_id",
                "path",
                "start_s",
                "end_s",
                "label",
                "probability",
                *(f"p_{name}" for name in self.classes),
                *(f"p_{name}@{member}" for member in self.members for name in self.classes),
            )
        )
        return (*own, "distance", "unlike", "left_out", "reason", "bundle")

    @staticmethod
    def is_text(name: str) -> bool:
        """Whether a column holds text, and no number."""
        return name in _TEXTS

    def rows(self, clip: Asked, result: Result) -> list[Row]:
        """The rows of one clip; None where there is no value."""
        first: Row = dict.fromkeys(self.names)
        first |= {"clip_id": clip.name, "path": clip.path, "reason": result.reason, "bundle": self.bundle}
        first["left_out"] = "; ".join(f"{member}: {why}" for member, why in result.left_out.items()) or None
        first["unlike"] = ", ".join(f"{spec} {times:.1f} x" for spec, times in result.unlike.items()) or None
        first["distance"] = None if result.distance is None else round(result.distance, 3)
        if isinstance(result, TracePrediction):
            if result.reason is not None:
                return [first]
            numbers = zip(result.time_s.tolist(), result.values.tolist(), strict=True)
            return [
                {**first, "time_s": round(at, _DIGITS), **dict(zip(self.dimensions, _rounded(values), strict=True))}
                for at, values in numbers
            ]
        first |= {"start_s": clip.media.start_s, "end_s": clip.media.end_s}
        first |= self._scores(result.probabilities, "")
        for member in self.members:
            first |= self._scores(result.members.get(member, {}), f"@{member}")
        if result.probabilities:
            first["probability"] = round(max(result.probabilities.values()), _DIGITS)
        return [self.labelled(first)]

    def labelled(self, row: Row) -> Row:
        """The row with the class that its probabilities tell, or none where it abstains."""
        if self.dimensions or row["probability"] is None:
            return row
        silent = self.abstain and row["unlike"] is not None
        best = max(self.classes, key=lambda name: row[f"p_{name}"])
        return {**row, "label": None if silent else best}

    def _scores(self, scores: Mapping[str, float], whose: str) -> Row:
        return {f"p_{name}{whose}": round(p, _DIGITS) for name, p in scores.items()}

    def key(self, row: Row) -> tuple[str, float, float | None]:
        """Which clip a row is of, as `Asked.key` tells it; of a recording's steps all have one."""
        return row["clip_id"], row.get("start_s") or 0.0, row.get("end_s")

    def failed(self, row: Row) -> bool:
        """Whether the row says only why there is nothing to say."""
        return row["time_s" if self.dimensions else "probability"] is None


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, _DIGITS) for value in values]
