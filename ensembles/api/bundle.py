"""A bundle as an object: classify media files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ensembles.api.ensemble import Ensemble
from ensembles.api.places import use_plugins

if TYPE_CHECKING:
    import pandas as pd

    from ensembles.bundle.predict import Predictor

__all__ = ["Bundle", "load"]


def load(
    folder: str | Path,
    *,
    device: str = "cpu",
    encoders: Mapping[str, str | Path] | None = None,
    plugins: Sequence[str | Path] = (),
) -> "Bundle":
    """Load a bundle that `Ensemble.export` or `emofuse ensemble export` wrote; every file's digest is checked first.

    Parameters
    ----------
    folder : str or Path
        The bundle.
    device : {"cpu", "cuda"}
        Where its models compute.
    encoders : mapping of str to path, optional
        Weights of encoders that the bundle names and doesn't hold, by its names for them.
    plugins : sequence of str or Path
        Files with plug-ins of yours, which stay in use from here on (the command's `--plugin`).

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

    use_plugins(plugins)
    places = {name: Path(place) for name, place in (encoders or {}).items()}
    return Bundle(Predictor(Path(folder), device, places))


class Bundle:
    """A loaded bundle: models, features and fusion of an exported ensemble. Made by `load`."""

    def __init__(self, predictor: "Predictor"):
        self._predictor = predictor

    def __repr__(self) -> str:
        ensemble = self._predictor.bundle.ensemble
        what = f"{'dimensions' if self.dimensions else 'classes'} {', '.join(ensemble.outputs)}"
        return f"Bundle({str(self.folder)!r}: {len(ensemble.members)} members, {what})"

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self._predictor.bundle.folder

    @property
    def classes(self) -> tuple[str, ...]:
        """The C class names; none of continuous emotion."""
        return self._predictor.bundle.ensemble.classes

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The names of what is predicted over time, as arousal and valence; none of classes."""
        over_time = self._predictor.bundle.ensemble.over_time
        return over_time.dimensions if over_time else ()

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
            weight the others share). Of continuous emotion a row per step, indexed by `path` and `time_s` (seconds),
            with a column for each dimension, then `reason` and `left_out`; one row without a time for a file that
            can't be scored.

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
        if self.dimensions:
            return self._traces(paths)
        rows = []
        with progress("clips", len(paths)) as counter:
            for path in paths:
                found = self._predictor.predict(path)
                counter.advance(note=path.name)
                probabilities = {f"p_{name}": found.probabilities.get(name, float("nan")) for name in self.classes}
                left_out = _told(found.left_out)
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

    def _traces(self, paths: Sequence[Path]) -> "pd.DataFrame":
        import numpy as np
        import pandas as pd

        from features.progress import progress

        tables = []
        with progress("recordings", len(paths)) as counter:
            for path in paths:
                found = self._predictor.trace(path)
                counter.advance(note=path.name)
                time_s, values = found.time_s, found.values
                if found.reason is not None:
                    time_s, values = np.full(1, np.nan), np.full((1, len(self.dimensions)), np.nan)
                table = pd.DataFrame(values, columns=list(self.dimensions))
                table.insert(0, "path", found.path)
                table.insert(1, "time_s", time_s)
                told = {"reason": found.reason, "left_out": _told(found.left_out) or None}
                tables.append(
                    table.assign(**{name: pd.Series(text, table.index, object) for name, text in told.items()})
                )
        return pd.concat(tables).set_index(["path", "time_s"])


def _told(left_out: Mapping[str, str]) -> str:
    return "; ".join(f"{member}: {reason}" for member, reason in left_out.items())
