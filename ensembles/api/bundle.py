"""A bundle as an object: classify media files."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ensembles.api.ensemble import Ensemble

if TYPE_CHECKING:
    import pandas as pd

    from ensembles.bundle.predict import Predictor

__all__ = ["Bundle", "load"]


def load(folder: str | Path, *, device: str = "cpu") -> "Bundle":
    """Load a bundle that `Ensemble.export` or `emofuse ensemble export` wrote; every file's digest is checked first.

    Parameters
    ----------
    folder : str or Path
        The bundle.
    device : {"cpu", "cuda"}
        Where its models compute.

    Returns
    -------
    Bundle

    Raises
    ------
    EmofuseError
        No bundle, a file that was changed, added or taken away, or feature extractors of another version.

    Examples
    --------
    >>> import emofuse as ef
    >>> refitted = ef.open_run("runs/first").ensemble("best").refit(in_process=True)
    >>> ef.load(refitted.export("bundle", anyway=True)).classes
    ('angry', 'happy')
    """
    from ensembles.bundle.predict import Predictor

    return Bundle(Predictor(Path(folder), device))


class Bundle:
    """A loaded bundle: models, features and fusion of an exported ensemble. Made by `load`."""

    def __init__(self, predictor: "Predictor"):
        self._predictor = predictor

    def __repr__(self) -> str:
        ensemble = self._predictor.bundle.ensemble
        return f"Bundle({str(self.folder)!r}: {len(ensemble.members)} members, classes {', '.join(self.classes)})"

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self._predictor.bundle.folder

    @property
    def classes(self) -> tuple[str, ...]:
        """The C class names."""
        return self._predictor.bundle.ensemble.classes

    @property
    def ensemble(self) -> Ensemble:
        """Its ensemble, with weights and scores."""
        return Ensemble(self._predictor.bundle.ensemble)

    def predict(self, clips: "str | Path | Sequence[str | Path]") -> "pd.DataFrame":
        """Classify media files.

        Parameters
        ----------
        clips : str, Path, or a sequence of them
            Media files, or folders of them.

        Returns
        -------
        pandas.DataFrame
            A row per file, indexed by `path`: `label`, a probability `p_<class>` for each class, `reason` (why there is
            no label; None where there is one) and `left_out` (members that could not score the clip and why, whose
            weight the others share).

        Raises
        ------
        WrongUse
            A folder without files.

        Examples
        --------
        >>> import emofuse as ef
        >>> refitted = ef.open_run("runs/first").ensemble("best").refit(in_process=True)
        >>> bundle = ef.load(refitted.export("bundle", anyway=True))
        >>> bundle.predict(["no_such_clip.mp4"])["label"].tolist()
        [None]
        """
        import pandas as pd

        from ensembles.bundle.predict import media_files
        from features.progress import progress

        given = [clips] if isinstance(clips, str | Path) else clips
        paths = media_files([Path(clip) for clip in given])
        rows = []
        with progress("clips", len(paths)) as counter:
            for path in paths:
                found = self._predictor.predict(path)
                counter.advance(note=path.name)
                probabilities = {f"p_{name}": found.probabilities.get(name, float("nan")) for name in self.classes}
                left_out = "; ".join(f"{member}: {reason}" for member, reason in found.left_out.items())
                rows.append(
                    {
                        "path": found.path,
                        "label": found.label,
                        **probabilities,
                        "reason": found.reason,
                        "left_out": left_out or None,
                    }
                )
        columns = ["path", "label", *(f"p_{name}" for name in self.classes), "reason", "left_out"]
        table = pd.DataFrame(rows, columns=columns).set_index("path")
        # pandas writes a missing text as NaN; None is what the reader tests for.
        return table.astype({name: object for name in ("label", "reason", "left_out")}).where(table.notna(), None)
